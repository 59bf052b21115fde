"use strict";
// Sorts tables, filters runs, draws learning curves. Texts from files only ever become textContent.
const data = JSON.parse(document.getElementById("data").textContent);
const rows = [...document.querySelectorAll("#run-table tbody tr")];
const facets = [...document.querySelectorAll("#filters select")];
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

// ---- sorting: a click ascending, another descending; what has no value stays last
function sortKey(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = parseFloat(text.replace("−", "-"));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
}

function sortBy(table, header, column) {
  const down = header.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("th[aria-sort]").forEach(th => th.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const keyed = [...table.tBodies[0].rows].map(row => [sortKey(row, column), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const last = table.tHead.rows[table.tHead.rows.length - 1];
  const corner = table.tHead.rows.length > 1 ? [table.tHead.rows[0].cells[0]] : [];
  [...corner, ...last.cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(table, header, column));
  });
}

// ---- filters
const searched = rows.map(row => row.textContent.toLowerCase());

function filter() {
  const words = document.getElementById("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, i) => {
    const wanted = facets.every(select => !select.value || row.dataset[select.dataset.facet] === select.value);
    row.hidden = !(wanted && words.every(word => searched[i].includes(word)));
    shown += !row.hidden;
  });
  document.getElementById("shown").textContent = `${shown} of ${rows.length} runs`;
  draw();
}

const form = document.getElementById("filters");
document.getElementById("text").addEventListener("input", filter);
form.addEventListener("change", filter);
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));

// ---- learning curves
const chart = document.getElementById("chart");
const byNumber = new Map(rows.map(row => [Number(row.dataset.run), row]));

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function point(number) {
  document.querySelectorAll(".pointed").forEach(found => found.classList.remove("pointed"));
  if (number === null) return;
  byNumber.get(number).classList.add("pointed");
  document.querySelector(`#chart path[data-run="${number}"]`)?.classList.add("pointed");
  document.getElementById("pointed").textContent = data.runs[number].name;
}

function draw() {
  if (!chart) return;
  const metric = document.getElementById("metric").value;
  const facet = document.getElementById("colour").value;
  const valueOf = number => (facet === "run" ? data.runs[number].name : byNumber.get(number).dataset[facet]);
  const values = [...new Set(data.runs.map((_, number) => valueOf(number)))];
  const colourOf = value => COLOURS[values.indexOf(value) % COLOURS.length];
  byNumber.forEach((row, number) => (row.querySelector(".dot").style.background = colourOf(valueOf(number))));
  const shown = [...byNumber.keys()].sort((a, b) => a - b)
    .filter(number => !byNumber.get(number).hidden && data.runs[number].curves[metric]);
  const points = shown.flatMap(number => data.runs[number].curves[metric]);
  const width = Math.max(300, chart.clientWidth), height = width < 600 ? 240 : 340;
  const left = 52, right = 10, top = 10, bottom = 34;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${metric} by epoch` });
  chart.replaceChildren(svg);
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  if (!points.length) return svg.append(element("text", { x: left, y: height / 2 }, "none of the runs shown has this figure"));
  const range = axis => points.reduce(([low, high], p) => [Math.min(low, p[axis]), Math.max(high, p[axis])], [Infinity, -Infinity]);
  const [x0, x1] = range(0);
  let [y0, y1] = range(1);
  if (y0 === y1) [y0, y1] = [y0 - 1, y1 + 1];
  const x = value => left + (value - x0) / (x1 - x0 || 1) * (width - left - right);
  const y = value => height - bottom - (value - y0) / (y1 - y0) * (height - top - bottom);
  for (const value of ticks(y0, y1, 5)) {
    svg.append(element("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(element("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value));
  }
  for (const value of ticks(x0, x1, width < 600 ? 4 : 9)) {
    svg.append(element("text", { x: x(value), y: height - 16, "text-anchor": "middle" }, value));
  }
  svg.append(element("text", { x: (left + width) / 2, y: height - 2, "text-anchor": "middle" }, "epoch"));
  for (const number of shown) {
    const value = valueOf(number);
    const line = data.runs[number].curves[metric].map(p => `${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("L");
    const dash = DASHES[Math.floor(values.indexOf(value) / COLOURS.length) % DASHES.length];
    const path = element("path", { d: `M${line}`, stroke: colourOf(value), "stroke-dasharray": dash, "data-run": number });
    path.append(element("title", {}, data.runs[number].name));
    path.addEventListener("mouseenter", () => point(number));
    path.addEventListener("mouseleave", () => point(null));
    svg.append(path);
  }
  for (const value of [...new Set(shown.map(valueOf))].slice(0, 40)) {
    const item = document.createElement("li"), dot = document.createElement("i");
    dot.style.background = colourOf(value);
    item.append(dot, value);
    legend.append(item);
  }
}

rows.forEach(row => {
  row.addEventListener("mouseenter", () => point(Number(row.dataset.run)));
  row.addEventListener("mouseleave", () => point(null));
});
if (chart) {
  document.getElementById("metric").addEventListener("change", draw);
  document.getElementById("colour").addEventListener("change", draw);
  window.addEventListener("resize", draw);
  draw();
}
