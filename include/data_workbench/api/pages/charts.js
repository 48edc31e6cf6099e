// Draws what stands in `data-chart` with ECharts: only what is seen, in the page's colours, again when those change.
// ECharts itself is loaded when the first chart is seen, so that a page stands there before its drawings. What comes from a store is put into the page as text, never as markup.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
const { echarts: address, integrity } = document.currentScript.dataset;
let loading = null;

function library() {
  loading ??= new Promise((done, failed) => {
    const script = Object.assign(document.createElement("script"), { src: address, integrity, onload: done, onerror: failed });
    document.head.append(script);
  });
  return loading;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { text: of("text"), quiet: of("quiet"), line: of("line"), card: of("card"), ground: of("ground"), good: of("healthy"), bad: of("broken") };
}

function moment(ms) {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function number(value) {
  return Number(value.toPrecision(6)).toLocaleString("en");
}

function lines(texts) {
  const box = document.createElement("div");
  for (const text of texts) box.append(Object.assign(document.createElement("div"), { textContent: text }));
  return box;
}

function frame(colour, words, axis) {
  return {
    animation: false,
    grid: { left: 8, right: 8, top: 8, bottom: 8 },
    tooltip: {
      trigger: axis ? "axis" : "item", appendTo: document.body, backgroundColor: colour.card, borderColor: colour.line,
      textStyle: { color: colour.text }, axisPointer: { lineStyle: { color: colour.quiet } },
      formatter: (found) => lines(words((axis ? found[0] : found).dataIndex)),
    },
  };
}

const KINDS = {
  // A number over time; values that were unusual are marked.
  line(data, colour, isLarge) {
    const words = (index) => {
      const [ms, value, unusual] = data.points[index];
      return [`${data.name}: ${number(value)}`, moment(ms), ...(unusual ? [`unusual: ${unusual}`] : [])];
    };
    const label = { color: colour.quiet, fontSize: 10, hideOverlap: true };
    const rule = { lineStyle: { color: colour.line } };
    return {
      words,
      count: data.points.length,
      option: {
        ...frame(colour, words, true),
        grid: isLarge ? { left: 4, right: 12, top: 10, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" } : { left: 3, right: 5, top: 4, bottom: 4 },
        xAxis: { type: "time", show: isLarge, axisLabel: label, axisLine: rule, axisTick: rule },
        yAxis: { type: "value", show: isLarge, scale: true, min: data.low ?? undefined, max: data.high ?? undefined, splitNumber: 2, axisLabel: label, splitLine: rule },
        series: [{
          type: "line", lineStyle: { color: colour.quiet, width: 1.5 }, itemStyle: { color: colour.quiet },
          data: data.points.map(([ms, value, unusual], index) => ({
            value: [ms, value], symbol: "circle", symbolSize: unusual ? 9 : index === data.points.length - 1 ? 6 : 3,
            itemStyle: { color: unusual ? colour.bad : colour.quiet },
          })),
        }],
      },
    };
  },

  // How the values of a column are spread.
  bars(data, colour) {
    const words = (index) => [data.bars[index][0], `${data.bars[index][1].toLocaleString("en")} rows`];
    return {
      words,
      count: data.bars.length,
      option: {
        ...frame(colour, words, true),
        grid: { left: 1, right: 1, top: 2, bottom: 1 },
        xAxis: { type: "category", show: false, data: data.bars.map((one) => one[0]) },
        yAxis: { type: "value", show: false },
        series: [{ type: "bar", barCategoryGap: "8%", barMinHeight: 1, itemStyle: { color: colour.quiet }, data: data.bars.map((one) => one[1]) }],
      },
    };
  },

  // What was unusual: a row for each metric, a point for each value, larger the further off it was.
  timeline(data, colour) {
    const words = (index) => {
      const [ms, row, , told] = data.points[index];
      return [`${data.rows[row]}: ${told}`, moment(ms)];
    };
    const label = { color: colour.quiet, fontSize: 11 };
    const rule = { lineStyle: { color: colour.line } };
    return {
      words,
      count: data.points.length,
      option: {
        ...frame(colour, words, false),
        grid: { left: 4, right: 16, top: 8, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
        xAxis: { type: "time", boundaryGap: ["3%", "3%"], axisLabel: { ...label, hideOverlap: true }, axisLine: rule, axisTick: rule },
        yAxis: { type: "category", data: data.rows, inverse: true, axisLabel: { ...label, width: 180, overflow: "truncate" }, axisLine: rule, axisTick: { show: false }, splitLine: { show: true, ...rule } },
        series: [{
          type: "scatter",
          data: data.points.map(([ms, row, spreads, , isExpected]) => ({
            value: [ms, row], symbolSize: Math.min(8 + Math.log2(1 + spreads) * 2, 24),
            itemStyle: { color: isExpected ? colour.quiet : colour.bad, opacity: 0.8 },
          })),
        }],
      },
    };
  },
};

function draw(place) {
  if (drawn.has(place)) return;
  const data = JSON.parse(place.dataset.chart);
  const made = KINDS[data.kind](data, colours(), place.classList.contains("large"));
  place.textContent = "";
  const chart = echarts.init(place, null, { renderer: "svg" });
  chart.setOption(made.option);
  drawn.set(place, chart);
  place.dataset.drawn = data.kind;
  if (place.tabIndex === 0) listen(place, chart, made);
}

// Arrow keys go from value to value: the tooltip shows it, and a screen reader is told.
function listen(place, chart, made) {
  const said = place.parentElement.querySelector("output");
  let at = made.count;
  const go = (to) => {
    at = Math.max(0, Math.min(made.count - 1, to));
    chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
    if (said) said.textContent = made.words(at).join(", ");
  };
  place.onkeydown = (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: made.count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  };
  place.onblur = () => {
    chart.dispatchAction({ type: "hideTip" });
    at = made.count;
  };
}

const places = document.querySelectorAll("[data-chart]");
const seen = new IntersectionObserver((found) => {
  for (const one of found) if (one.isIntersecting) library().then(() => draw(one.target));
}, { rootMargin: "200px" });
for (const place of places) seen.observe(place);

function again() {
  for (const [place, chart] of drawn) {
    const data = JSON.parse(place.dataset.chart);
    chart.setOption(KINDS[data.kind](data, colours(), place.classList.contains("large")).option, true);
  }
}
dark.addEventListener("change", again);
addEventListener("resize", () => { for (const chart of drawn.values()) chart.resize(); });
addEventListener("beforeprint", () => library().then(() => places.forEach(draw)));
