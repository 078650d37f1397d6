"use strict";
// What a page can do beyond being read: sort and filter its tables, zoom its timelines. Nothing is loaded or sent.

function make(tag, text, attributes) {
  const element = document.createElement(tag);
  element.textContent = text || "";
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  return element;
}

function key(cell) {
  const given = cell.dataset.sort;
  const text = given === undefined ? cell.textContent.trim() : given;
  return text !== "" && !isNaN(text) ? [0, Number(text), ""] : [text === "" || text === "–" ? 2 : 1, 0, text.toLowerCase()];
}

function compare(a, b) {
  return a[0] - b[0] || a[1] - b[1] || a[2].localeCompare(b[2], "en", { numeric: true });
}

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = make("button", head.textContent, { type: "button", title: "Sort by this column" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [key(row.cells[column]), row]);
      // what has no value stays last, whichever way the others go
      rows.sort(([a], [b]) => (a[0] === 2 || b[0] === 2 || !down ? 1 : -1) * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 6) return; // these are seen at a glance
  const name = table.caption.textContent;
  const bar = make("div", "", { class: "filter", role: "search", "aria-label": `Filter: ${name}` });
  const input = make("input", "", { type: "search", autocomplete: "off" });
  const select = make("select");
  const told = make("output", "");
  const results = [...new Set(rows.map(row => row.dataset.result).filter(Boolean))];
  select.append(make("option", "all", { value: "" }), ...results.map(each => make("option", each, { value: each })));
  const words = make("label", "Rows that hold");
  words.append(input);
  bar.append(words);
  if (results.length > 1) {
    const choice = make("label", "Kind");
    choice.append(select);
    bar.append(choice);
  }
  bar.append(told);
  const apply = () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted) || (select.value !== "" && row.dataset.result !== select.value);
      shown += !row.hidden;
    }
    told.textContent = `${shown} of ${rows.length}`;
  };
  input.addEventListener("input", apply);
  select.addEventListener("change", apply);
  apply();
  (table.closest(".scroll") || table).before(bar);
}

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 230, WIDTH = 740, UNITS = 100000, LEAST = 1 / 2000;

function unit(span) {
  return [["s", 1e9], ["ms", 1e6], ["µs", 1e3]].find(([, size]) => span >= 2 * size) || ["ns", 1];
}

function drawAxis(axis, span, from, to, height) {
  const [name, size] = unit((to - from) * span);
  const rough = (to - from) * span / size / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  const parts = [];
  for (let n = Math.ceil(from * span / size / step - 1e-9); n * step * size / span <= to + 1e-9; n++) {
    const x = LEFT + WIDTH * (n * step * size / span - from) / (to - from);
    const line = document.createElementNS(SVG, "line"), text = document.createElementNS(SVG, "text");
    for (const [attribute, value] of [["x1", x], ["x2", x], ["y1", 0], ["y2", height]]) line.setAttribute(attribute, value);
    text.setAttribute("x", x);
    text.setAttribute("y", height + 22);
    text.textContent = `${Number((n * step).toPrecision(9))} ${name}`;
    parts.push(line, text);
  }
  axis.replaceChildren(...parts);
}

function timeline(figure) {
  const svg = figure.querySelector("svg"), lens = svg.querySelector(".lens"), axis = svg.querySelector(".axis");
  const span = Number(svg.dataset.span), height = Number(svg.dataset.height), region = figure.querySelector(".scroll");
  let from = 0, to = 1;
  const bar = make("div", "", { class: "zoom", role: "group", "aria-label": "Zoom" });
  const told = make("output", "");
  const show = (low, high) => {
    const width = Math.min(1, Math.max(LEAST, high - low));
    from = Math.min(Math.max(0, (low + high - width) / 2), 1 - width);
    to = from + width;
    lens.setAttribute("viewBox", `${from * UNITS} 0 ${(to - from) * UNITS} ${height}`);
    drawAxis(axis, span, from, to, height);
    buttons.forEach(([button, , possible]) => { button.disabled = !possible(); });
    told.textContent = width === 1 ? "all of it" : `${Number((1 / width).toPrecision(3))} times`;
  };
  const zoom = (factor, at = (from + to) / 2) => show(at - (at - from) * factor, at + (to - at) * factor);
  const move = part => show(from + part * (to - from), to + part * (to - from));
  const buttons = [
    ["Closer", () => zoom(.5), () => to - from > LEAST],
    ["Wider", () => zoom(2), () => to - from < 1],
    ["Earlier", () => move(-.4), () => from > 0],
    ["Later", () => move(.4), () => to < 1],
    ["All", () => show(0, 1), () => to - from < 1],
  ].map(([name, act, possible]) => {
    const button = make("button", name, { type: "button" });
    button.addEventListener("click", act);
    bar.append(button);
    return [button, act, possible];
  });
  bar.append(told);
  region.before(bar);
  const keys = { "+": 0, "=": 0, "-": 1, "ArrowLeft": 2, "ArrowRight": 3, "0": 4 };
  region.setAttribute("aria-keyshortcuts", "+ - 0 ArrowLeft ArrowRight");
  region.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    const [, act, possible] = buttons[keys[event.key]];
    if (!possible()) return; // the region scrolls then
    act();
    event.preventDefault();
  });
  const place = event => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width * 1000 - LEFT) / WIDTH;
    return x < 0 || x > 1 ? null : x;
  };
  svg.addEventListener("wheel", event => {
    const x = place(event);
    if (!event.ctrlKey || x === null) return; // plain scrolling is the page's
    event.preventDefault();
    zoom(event.deltaY < 0 ? .8 : 1.25, from + x * (to - from));
  }, { passive: false });
  svg.addEventListener("dblclick", event => {
    const x = place(event);
    if (x !== null) zoom(.5, from + x * (to - from));
  });
  const witness = [...lens.querySelectorAll(".witness-mark")].map(mark => Number(mark.getAttribute("d").match(/[\d.]+/)[0]) / UNITS);
  if (witness.length) {
    const first = Math.min(...witness), last = Math.max(...witness), margin = Math.max(.02, .5 * (last - first));
    const button = make("button", "Witness", { type: "button" });
    button.addEventListener("click", () => show(first - margin, last + margin));
    bar.insertBefore(button, told);
  }
  show(0, 1);
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("table.filterable").forEach(filterable);
document.querySelectorAll("figure.timeline").forEach(timeline);
// whoever follows a link to a timeline, or to anything folded away, is to be able to go on from there by keyboard
function arrive() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const folded = target.closest("details");
  if (folded) folded.open = true;
  const region = target.matches("figure.timeline") && target.querySelector(".scroll");
  if (region) region.focus({ preventScroll: true });
}
addEventListener("hashchange", arrive);
addEventListener("load", () => setTimeout(arrive)); // not sooner: going to the fragment takes the focus away
