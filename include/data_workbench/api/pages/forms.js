// Sends a form with `data-post` as JSON, from this page only, and says what came back.
"use strict";

for (const field of document.querySelectorAll("[data-column]")) {
  field.addEventListener("input", () => { field.dataset.touched = "yes"; });
}

function bodyOf(form) {
  const body = JSON.parse(form.dataset.fixed || "{}");
  const reason = form.elements.reason ? form.elements.reason.value.trim() : "";
  if (reason) body.reason = reason;
  const columns = form.querySelectorAll("[data-column]");
  if (columns.length) {
    body.set = {};
    for (const field of columns) {
      const empties = form.querySelector(`[data-empties="${CSS.escape(field.dataset.column)}"]`);
      if (empties && empties.checked) body.set[field.dataset.column] = null;
      else if (field.dataset.touched) body.set[field.dataset.column] = field.value;
    }
  }
  return body;
}

function told(status, answer) {
  if (status === 202) {
    const waits = answer.is_paused ? ", which waits: its DAG is paused" : "";
    return `asked for run ${answer.dag_run_id} of ${answer.dag_id}${waits}`;
  }
  if (typeof answer.discarded === "number") return `${answer.discarded} discarded`;
  if (answer.contract) return "noted";
  if (answer.expected_by) return "noted; others like it are no alarm";
  if (answer.id) return "noted; a replay uses it";
  const detail = answer.detail || (answer.error && answer.error.message) || `refused with ${status}`;
  return typeof detail === "string" ? detail : detail.map((one) => one.msg).join("; ");
}

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector("output");
    const button = form.querySelector("button");
    const body = bodyOf(form);
    if (body.set && !Object.keys(body.set).length) {
      said.textContent = "nothing is changed yet";
      return;
    }
    button.disabled = true;
    said.textContent = "…";
    try {
      const answer = await fetch(form.dataset.post, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      said.textContent = told(answer.status, await answer.json());
      said.className = answer.ok ? "healthy" : "broken";
      if (answer.ok) setTimeout(() => location.reload(), 1500);
      else button.disabled = false;
    } catch (error) {
      said.textContent = `the server did not answer (${error.message})`;
      said.className = "broken";
      button.disabled = false;
    }
  });
}
