// Finds, zooms, moves and hides in the drawing of the page "Lineage"; everything else is a link.
"use strict";

const svg = document.getElementById("graph");
const search = document.querySelector("[data-search]");

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && search && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

if (svg) {
  const nodes = [...svg.querySelectorAll(".node")];
  const edges = [...svg.querySelectorAll(".edge")].map((path) => (
    { path, source: Number(path.dataset.source), target: Number(path.dataset.target) }));
  const places = nodes.map((node) => ({ x: Number(node.dataset.x), y: Number(node.dataset.y), layer: Number(node.dataset.layer) }));
  const focus = Number(svg.dataset.focus);
  const whole = { x: -20, y: -20, width: Number(svg.dataset.width) + 40, height: Number(svg.dataset.height) + 40 };
  let view = { ...whole };

  const show = () => svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const zoom = (by, at) => {
    const middle = at || { x: view.x + view.width / 2, y: view.y + view.height / 2 };
    const width = Math.min(Math.max(view.width / by, 300), 4 * whole.width + 1000);
    const scale = width / view.width;
    view = { x: middle.x - (middle.x - view.x) * scale, y: middle.y - (middle.y - view.y) * scale, width, height: view.height * scale };
    show();
  };
  // As large as it can be read, around a node.
  const near = (number) => {
    const box = svg.getBoundingClientRect();
    const scale = 1 / Math.max(0.9, Math.min(1.1, box.width / whole.width, box.height / whole.height));
    view = { width: box.width * scale, height: box.height * scale };
    view.x = places[number].x + 118 - view.width / 2;
    view.y = places[number].y + 23 - view.height / 2;
    show();
  };
  const whenOutside = (number) => {
    const { x, y } = places[number];
    if (x < view.x || y < view.y || x + 236 > view.x + view.width || y + 46 > view.y + view.height) near(number);
  };
  near(focus);

  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (Number(button.dataset.zoom)) zoom(Number(button.dataset.zoom));
      else { view = { ...whole }; show(); }
    });
  }
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = Math.max(view.width / box.width, view.height / box.height);
    return { x: view.x + view.width / 2 + (event.clientX - box.left - box.width / 2) * scale,
      y: view.y + view.height / 2 + (event.clientY - box.top - box.height / 2) * scale, scale };
  };
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.15 : 0.87, point(event));
  }, { passive: false });
  let held = null;
  svg.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, view: { ...view }, scale: point(event).scale, moved: false }; });
  window.addEventListener("pointermove", (event) => {
    if (!held) return;
    const by = { x: (event.clientX - held.x) * held.scale, y: (event.clientY - held.y) * held.scale };
    if (Math.abs(by.x) + Math.abs(by.y) < 6 * held.scale && !held.moved) return;
    held.moved = true;
    view = { ...held.view, x: held.view.x - by.x, y: held.view.y - by.y };
    show();
  });
  window.addEventListener("pointerup", () => { setTimeout(() => { held = null; }, 0); });
  svg.addEventListener("click", (event) => { if (held && held.moved) event.preventDefault(); }, true);
  svg.addEventListener("dragstart", (event) => event.preventDefault());

  const hidden = (number) => nodes[number].hasAttribute("hidden");
  const closed = new Set();
  const hide = () => {
    const seen = new Set([focus]);
    const wave = [focus];
    while (wave.length) {
      const at = wave.pop();
      if (closed.has(at)) continue;
      for (const edge of edges) {
        const forth = edge.source === at && places[edge.target].layer > 0 && places[at].layer >= 0;
        const back = edge.target === at && places[edge.source].layer < 0 && places[at].layer <= 0;
        const to = forth ? edge.target : back ? edge.source : null;
        if (to !== null && !seen.has(to)) { seen.add(to); wave.push(to); }
      }
    }
    // What no path from the focus leads to is drawn for its own sake.
    const hides = closed.size > 0;
    nodes.forEach((node, number) => {
      node.toggleAttribute("hidden", hides && !seen.has(number));
      node.classList.toggle("closed", closed.has(number));
    });
    for (const edge of edges) edge.path.toggleAttribute("hidden", hidden(edge.source) || hidden(edge.target));
  };

  const go = (from, key) => {
    const here = places[from];
    let best = null;
    places.forEach((there, number) => {
      if (number === from || hidden(number)) return;
      const dx = there.x - here.x;
      const dy = there.y - here.y;
      const fits = { ArrowLeft: dx < 0, ArrowRight: dx > 0, ArrowUp: dx === 0 && dy < 0, ArrowDown: dx === 0 && dy > 0 }[key];
      if (!fits) return;
      const joined = edges.some((edge) => (edge.source === from && edge.target === number) || (edge.target === from && edge.source === number));
      const far = Math.abs(dx) + Math.abs(dy) + (dx !== 0 && !joined ? 100000 : 0);
      if (best === null || far < best.far) best = { number, far };
    });
    if (best) { nodes[best.number].focus({ preventScroll: true }); whenOutside(best.number); }
  };
  // Among a thousand edges those of one node stand out while it is pointed at, or reached by keys.
  const light = (number) => {
    const near = new Set();
    for (const edge of edges) {
      const its = edge.source === number || edge.target === number;
      edge.path.classList.toggle("near", its);
      if (its) { near.add(edge.source); near.add(edge.target); edge.path.parentNode.insertBefore(edge.path, nodes[0]); }
    }
    nodes.forEach((node, other) => node.classList.toggle("near", near.has(other)));
  };
  const lit = (event) => {
    const node = event.target.closest(".node");
    light(node ? Number(node.dataset.node) : null);
  };
  for (const kind of ["focusin", "pointerover"]) svg.addEventListener(kind, lit);
  svg.addEventListener("focusout", () => light(null));
  svg.addEventListener("pointerleave", () => light(null));

  svg.addEventListener("keydown", (event) => {
    const node = event.target.closest(".node");
    if (!node) return;
    const number = Number(node.dataset.node);
    if (event.key.startsWith("Arrow")) { event.preventDefault(); go(number, event.key); }
    if (event.key === "c" && number !== focus) {
      if (!closed.delete(number)) closed.add(number);
      hide();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
    if (event.key === "+") zoom(1.25);
    if (event.key === "-") zoom(0.8);
    if (event.key === "0") { view = { ...whole }; show(); }
  });

  const said = document.querySelector("[data-found]");
  const inside = (node, text) => (node.dataset.hidden || "").split("\n").filter((name) => name.includes(text)).length;
  const find = (goes) => {
    const text = search.value.trim().toLowerCase();
    const fits = (node) => Boolean(text) && !node.hasAttribute("hidden");
    const found = nodes.filter((node) => fits(node) && node.dataset.name.includes(text));
    const folded = nodes.filter((node) => fits(node) && inside(node, text));
    for (const node of nodes) node.classList.toggle("found", found.includes(node) || folded.includes(node));
    const more = folded.reduce((sum, node) => sum + inside(node, text), 0);
    const how = found.length ? "" : " (Enter)";
    said.textContent = text ? `${found.length} found${more ? `, ${more} not drawn${how}` : ""}` : "";
    const [first] = [...found, ...folded];
    if (!first) return;
    near(Number(first.dataset.node));
    if (!goes) return;
    if (found.length) first.focus({ preventScroll: true });
    else location.assign(`${first.getAttribute("href")}#find=${encodeURIComponent(text)}`);
  };
  search.addEventListener("input", () => find(false));
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); find(true); } });
  const wanted = /^#find=(.*)$/.exec(location.hash);
  if (wanted) {
    try { search.value = decodeURIComponent(wanted[1]); } catch { search.value = ""; }
    if (nodes.some((node) => node.dataset.name.includes(search.value))) find(true);
    else find(false);
  }
}
