"use strict";
// Without this script all is shown and can be chosen; it sorts tables, and reads values off figures.

// Tables are sorted by a click on a column's title: ascending, descending, as they were.
const ORDERS = { none: "ascending", ascending: "descending", descending: "none" };
const value = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return { text, number: Number.isNaN(number) ? Infinity : number };
};
for (const table of document.querySelectorAll("table:not(.pairs)")) {
  const body = table.tBodies[0], rows = [...body.rows], titles = [...table.tHead.rows[0].cells];
  if (rows.length < 2) continue;
  titles.forEach((title, column) => {
    const button = document.createElement("button"), words = title.classList.contains("words");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    button.addEventListener("click", () => {
      const order = ORDERS[title.getAttribute("aria-sort") ?? "none"], sign = order === "descending" ? -1 : 1;
      titles.forEach(other => other.removeAttribute("aria-sort"));
      if (order === "none") return body.append(...rows);
      title.setAttribute("aria-sort", order);
      const keyed = rows.map(row => [value(row, column), row]);
      keyed.sort(([a], [b]) => {
        if (words) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
        // What has no figure comes last in either order.
        if (a.number === Infinity || b.number === Infinity) return (a.number === Infinity) - (b.number === Infinity);
        return sign * (a.number - b.number);
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

// The normal distribution's share below a deviate (Abramowitz and Stegun 7.1.26 of the error function).
const normal = deviate => {
  const x = Math.abs(deviate) / Math.SQRT2, t = 1 / (1 + 0.3275911 * x);
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x) / 2;
  return deviate < 0 ? tail : 1 - tail;
};
const deviate = share => {
  let low = -8, high = 8;
  for (let step = 0; step < 50; step++) normal((low + high) / 2) < share ? low = (low + high) / 2 : high = (low + high) / 2;
  return low;
};
const SCALES = { linear: [x => x, x => x], log: [Math.log10, x => 10 ** x], probit: [deviate, normal] };
const axis = described => {
  const [scale, low, high, unit, ...label] = described.split("|");
  const [forward, backward] = SCALES[scale], begin = forward(+low), end = forward(+high);
  const name = label.join("|").replace(/ \(%\)$/, "");
  return share => {
    const found = backward(begin + share * (end - begin)) * (unit ? 100 : 1);
    return `${name} ${Number(found.toPrecision(3))}${unit || / \(%\)$/.test(described) ? " %" : ""}`;
  };
};

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
const NEAR = 24;

for (const drawing of document.querySelectorAll("figure > svg")) {
  // Titles would come up besides the tip; their text is kept for it.
  for (const title of drawing.querySelectorAll("title")) {
    title.parentNode.dataset.title = title.textContent;
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  const area = drawing.querySelector(".inside"), [x, y] = [drawing.dataset.x, drawing.dataset.y].map(axis);
  const [width, height] = [area.width.baseVal.value, area.height.baseVal.value];
  const ring = document.createElementNS(drawing.namespaceURI, "circle");
  ring.setAttribute("class", "found");
  ring.setAttribute("r", 6);
  let points = null;
  const collect = () => [...drawing.querySelectorAll(".series")].flatMap(series => [
    ...[...series.querySelectorAll(".mark")].map(mark => {
      const { e, f } = mark.transform.baseVal.consolidate().matrix;
      return [e, f, series, mark.closest(".point")?.dataset.title];
    }),
    ...(series.classList.contains("both") ? [] : [...series.querySelectorAll("polyline")].flatMap(line =>
      [...line.points].map(point => [point.x, point.y, series]))),
  ]).filter(([a, b]) => a >= 0 && b >= 0 && a <= width && b <= height);
  const hide = () => { tip.hidden = true; ring.remove(); };
  const show = event => {
    points ??= collect();
    const box = drawing.querySelector(".ground").getBoundingClientRect(), scale = width / box.width;
    const place = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null, least = NEAR;
    for (const point of points) {
      const away = Math.hypot(point[0] - place[0], point[1] - place[1]);
      if (away < least && getComputedStyle(point[2]).display !== "none") [best, least] = [point, away];
    }
    if (!best) return hide();
    const [a, b, series, label] = best, name = series.dataset.title;
    tip.textContent = label ? `${name}\n${label}` : `${name}\n${x(a / width)}, ${y(1 - b / height)}`;
    ring.setAttribute("cx", a);
    ring.setAttribute("cy", b);
    area.append(ring);
    tip.hidden = false;
    const [w, h] = [tip.offsetWidth, tip.offsetHeight];
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - w - 8))}px`;
    tip.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 12 : event.clientY + 18}px`;
  };
  drawing.addEventListener("pointermove", show);
  drawing.addEventListener("pointerdown", show);
  drawing.addEventListener("pointerleave", hide);
}
