"use strict";
// Tables sort by their headings, figures tell their values and show or hide a technique. Without this the page is the same, still.

function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const label = heading.querySelector(".label") || heading;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...label.childNodes);
    label.append(button);
    button.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const order = now ? (now === "ascending" ? "descending" : "ascending") : heading.dataset.first || "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => (a === null) - (b === null) || sign * compared(a, b));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

function value(cell) {
  if (!("sort" in cell.dataset)) return cell.textContent.trim();
  return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
}

function compared(a, b) {
  if (a === null) return 0;
  return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
}

function legend(list) {
  const section = list.closest("section");
  const parts = (item) => section.querySelectorAll(`.series[data-series="${item.dataset.series}"]`);
  const show = (item, on) => {
    item.firstChild.setAttribute("aria-pressed", on);
    parts(item).forEach((part) => part.classList.toggle("off", !on));
  };
  const items = [...list.querySelectorAll("li")];
  for (const item of items) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    item.append(button);
    show(item, !("off" in item.dataset));
    button.addEventListener("click", () => show(item, button.getAttribute("aria-pressed") !== "true"));
    for (const [event, strong] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]])
      button.addEventListener(event, () => parts(item).forEach((part) => part.classList.toggle("strong", strong)));
  }
  const all = document.createElement("button");
  all.type = "button";
  const relabel = () => (all.textContent = items.every(shown) ? "hide all" : "show all");
  const shown = (item) => item.firstChild.getAttribute("aria-pressed") === "true";
  all.addEventListener("click", () => {
    const on = !items.every(shown);
    items.forEach((item) => show(item, on));
    relabel();
  });
  list.addEventListener("click", relabel);
  const last = document.createElement("li");
  last.className = "all";
  last.append(all);
  list.append(last);
  relabel();
}

function tells(figure) {
  const svg = figure.querySelector("svg");
  const names = Object.fromEntries(
    [...figure.closest("section").querySelectorAll(".legend li[data-series]")].map((item) => [item.dataset.series, item.textContent.trim()]));
  const points = JSON.parse(figure.dataset.points);  // [series, x, y, words] in the picture's own units
  const seen = () => {
    const off = new Set([...svg.querySelectorAll(".series.off")].map((part) => part.dataset.series));
    return points.filter(([series]) => !off.has(String(series)));
  };
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  figure.append(tip);
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  for (const [name, set] of [["r", 5], ["fill", "none"], ["stroke", "var(--ink)"], ["stroke-width", 1.5], ["visibility", "hidden"]])
    ring.setAttribute(name, set);
  svg.append(ring);
  let at = null;
  const hide = () => { tip.hidden = true; at = null; ring.setAttribute("visibility", "hidden"); };
  const tell = (point) => {
    if (!point) return hide();
    at = point;
    const [series, x, y, words] = point;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const name = document.createElement("b");
    name.textContent = names[series];
    tip.replaceChildren(name, document.createElement("br"), words);
    tip.hidden = false;
    const left = svg.offsetLeft || svg.getBoundingClientRect().left - figure.getBoundingClientRect().left;
    const top = svg.getBoundingClientRect().top - figure.getBoundingClientRect().top;
    tip.style.left = Math.max(0, Math.min(left + x * scale + 10, figure.clientWidth - tip.offsetWidth)) + "px";
    tip.style.top = Math.max(0, top + y * scale - tip.offsetHeight - 10) + "px";
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const far = ([, px, py]) => (px - x) ** 2 + (py - y) ** 2;
    const nearest = seen().reduce((best, point) => (!best || far(point) < far(best) ? point : best), null);
    tell(nearest && far(nearest) < 900 ? nearest : null);
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 0, ArrowUp: 0 }[event.key];
    if (event.key === "Escape") hide();
    if (step === undefined) return;
    event.preventDefault();
    const open = seen();
    if (!at || !open.includes(at)) return tell(open[0]);
    if (step) return tell(open.filter(([series]) => series === at[0])[open.filter(([series]) => series === at[0]).indexOf(at) + step] || at);
    const others = [...new Set(open.map(([series]) => series))];
    const next = others[(others.indexOf(at[0]) + (event.key === "ArrowDown" ? 1 : others.length - 1)) % others.length];
    const near = open.filter(([series]) => series === next);
    tell(near.reduce((best, point) => (Math.abs(point[1] - at[1]) < Math.abs(best[1] - at[1]) ? point : best)));
  });
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".legend").forEach(legend);
document.querySelectorAll("figure[data-points]").forEach(tells);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
