// Tables that become lists of cards on a phone.

import { h, s, setText } from "./dom.js";

/** Creates a table. Columns: {name, number?, className?, sort?}. The roles keep it a table for
 *  screen readers where the style sheet stacks its cells. */
export function table(caption, columns, onSort) {
  const heads = columns.map((column) => {
    const sorts = onSort && column.sort;
    const content = sorts ? h("button", { type: "button", class: "sort", click: () => onSort(column.sort) }, column.name) : column.name;
    return h("th", { scope: "col", role: "columnheader", class: classOf(column) }, content);
  });
  const body = h("tbody", { role: "rowgroup" });
  const element = h("table", { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), body);
  const row = (cells, attributes) => h("tr", { role: "row", ...attributes }, cells.map((cell, at) =>
    h("td", { role: "cell", class: classOf(columns[at]), "data-name": columns[at].name }, cell)));
  const markSort = (sort, order) => columns.forEach((column, at) => {
    if (column.sort === sort) heads[at].setAttribute("aria-sort", order);
    else heads[at].removeAttribute("aria-sort");
  });
  return { element, body, row, markSort };
}

function classOf({ number, className }) {
  return [number ? "number" : "", className ?? ""].join(" ").trim() || null;
}

/** Creates a table of names and numbers with bars. */
export function bars(caption, [nameTitle, numberTitle], rows, format) {
  const largest = Math.max(1, ...rows.map(([, value]) => value));
  const { element, body, row } = table(caption, [
    { name: nameTitle, className: "bar-name" }, { name: numberTitle, number: true, className: "bar-number" },
    { name: "Share of the largest", className: "bar-cell" },
  ]);
  body.append(...rows.map(([name, value]) => row([name, format(value), bar(value / largest)])));
  element.classList.add("bars");
  return element;
}

/** Creates a bar that is filled to a share. */
export function bar(share, tone = "") {
  const filled = h("span", { class: `bar-fill ${tone}` });
  filled.style.width = `${Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10}%`;
  return h("span", { class: "bar-track", "aria-hidden": "true" }, filled);
}

const WIDTH = 120;
const HEIGHT = 24;

/** A small chart without axes: a rate over the time of the history. */
export class Sparkline {
  constructor(name) {
    this.name = name;
    this.area = s("path", { class: "area t-hit" });
    this.line = s("path", { class: "line t-hit" });
    this.title = s("title");
    this.element = s("svg", { role: "img", class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" },
      this.title, this.area, this.line);
  }

  update({ times, rows, start, end }, read, format) {
    let [largest, smallest, latest] = [0, Infinity, null];
    for (const row of rows) {
      if (!row) continue;
      latest = read(row);
      if (latest > largest) largest = latest;
      if (latest < smallest) smallest = latest;
    }
    const x = (time) => ((time - start) / Math.max(1, end - start)) * WIDTH;
    const y = (value) => HEIGHT - 1.5 - (value / Math.max(largest, 1)) * (HEIGHT - 4);
    let path = "";
    let first = null;
    let lastX = null;
    // Every second point is enough for the width.
    const step = rows.length > 150 ? 2 : 1;
    for (let at = (rows.length - 1) % step; at < rows.length; at += step) {
      if (!rows[at]) continue;
      lastX = x(times[at]).toFixed(1);
      first ??= lastX;
      path += `${path ? "L" : "M"}${lastX} ${y(read(rows[at])).toFixed(1)}`;
    }
    this.line.setAttribute("d", path);
    this.area.setAttribute("d", path ? `${path}L${lastX} ${HEIGHT}L${first} ${HEIGHT}Z` : "");
    const text = latest === null ? `${this.name}: nothing yet`
      : `${this.name}: ${format(latest)} now, from ${format(smallest)} to ${format(largest)}`;
    if (this.element.getAttribute("aria-label") !== text) this.element.setAttribute("aria-label", text);
    setText(this.title, text);
  }
}
