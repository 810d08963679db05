// Charts over time, drawn as SVG: lines, or areas that are stacked.

import { h, s, setText } from "./dom.js";
import { duration } from "./format.js";

const HEIGHT = 168;
const EDGE = { left: 52, right: 10, top: 10, bottom: 22 };

/** Returns a round number of at least `value`, and the step of its ticks. */
function scale(value, floor) {
  const largest = Math.max(value, floor);
  const raw = largest / 4;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((it) => it * size).find((it) => it >= raw * 0.9999);
  return { top: Math.ceil((largest / step) * 0.9999) * step, step };
}

/** A label of the axis, without zeros behind the point. */
const trimmed = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

/** A chart over time. Options: title, note, kind ("lines" or "areas"), series of {name, tone,
 *  read(row)}, format, and either a fixed `top` or a `floor` for the end of the scale. */
export class TimeChart {
  constructor(options) {
    this.options = options;
    this.frame = null;
    this.cursor = null;
    this.width = 0;
    this.build();
    this.observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width === this.width || width === 0) return;
      this.width = width;
      this.draw();
    });
    this.observer.observe(this.box);
  }

  build() {
    const { title, note, series } = this.options;
    this.grid = s("g", { class: "grid" });
    this.marks = s("g");
    this.names = s("g", { class: "names-in", "aria-hidden": "true" });
    this.line = s("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    this.svg = s("svg", { role: "img", tabindex: 0, height: HEIGHT, class: "plot" },
      s("title", {}, title), this.grid, this.marks, this.line);
    this.shapes = series.map(({ tone }) => ({
      area: s("path", { class: `area ${tone}` }),
      line: s("path", { class: `line ${tone}` }),
    }));
    this.tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.spoken = h("div", { class: "unseen", "aria-live": "polite" });
    const cover = h("div", {
      class: "cover",
      pointermove: (event) => this.point(event.offsetX),
      pointerdown: (event) => this.point(event.offsetX),
      pointerleave: () => this.leave(),
    });
    this.box = h("div", { class: "chart" }, this.svg, cover, this.tip);
    this.values = series.map(() => h("span", { class: "value" }));
    const legend = h("ul", { class: "legend" }, series.map(({ name, tone }, at) =>
      h("li", {}, swatch(tone, this.options.kind), h("span", {}, name), this.values[at])));
    this.svg.addEventListener("keydown", (event) => this.press(event));
    this.svg.addEventListener("focus", () => this.svg.matches(":focus-visible") && this.select(this.lastIndex(), false));
    this.svg.addEventListener("blur", () => this.leave());
    this.element = h("section", { class: "panel" },
      h("h2", {}, title), note ? h("p", { class: "note" }, note) : null, this.box, legend, this.spoken);
  }

  /** Shows a new frame of the history. */
  update(frame) {
    const at = this.cursor === null || !this.frame ? null : this.frame.times[this.cursor];
    this.frame = frame;
    if (at !== null) {
      const index = frame.times.indexOf(at);
      this.cursor = index === -1 ? null : index;
    }
    const { series, title, format } = this.options;
    const current = this.current();
    const texts = series.map(({ read }, index) => {
      const text = format(current ? read(current) : null);
      setText(this.values[index], text);
      return `${series[index].name} ${text}`;
    });
    const label = `${title}, now: ${texts.join(", ")}. Arrow keys read the last ${duration(frame.end - frame.start)}.`;
    this.svg.setAttribute("aria-label", label);
    this.draw();
  }

  current() {
    const rows = this.frame.rows;
    return rows[rows.length - 1] ?? rows[rows.length - 2] ?? null;
  }

  lastIndex() {
    return this.frame ? this.frame.times.length - 1 : -1;
  }

  x(time) {
    const { start, end } = this.frame;
    return EDGE.left + ((time - start) / Math.max(1, end - start)) * (this.width - EDGE.left - EDGE.right);
  }

  y(value) {
    return HEIGHT - EDGE.bottom - (Math.min(value, this.top) / this.top) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  draw() {
    if (!this.frame || this.width === 0) return;
    const { kind, series, top, floor = 1 } = this.options;
    this.svg.setAttribute("width", this.width);
    const stacked = kind === "areas";
    const levels = this.frame.rows.map((row) => {
      let sum = 0;
      return row && series.map(({ read }) => {
        const value = read(row);
        sum += value ?? 0;
        return stacked ? sum : value;
      });
    });
    let largest = 0;
    for (const level of levels) for (const value of level ?? []) if (value > largest) largest = value;
    const { top: end, step } = top ? { top, step: top / 4 } : scale(largest * 1.05, floor);
    this.top = end;
    this.drawGrid(step);
    this.drawShapes(levels, stacked);
    this.showCursor();
  }

  drawGrid(step) {
    const { start, end, downs } = this.frame;
    const right = this.width - EDGE.right;
    const parts = [];
    for (const [from, to] of downs) {
      const left = Math.max(EDGE.left, this.x(from));
      const width = Math.max(2, this.x(to) - left);
      parts.push(s("rect", { class: "down", x: left, y: EDGE.top, width, height: HEIGHT - EDGE.top - EDGE.bottom }));
      if (width > 86) parts.push(s("text", { class: "down-text", x: left + 5, y: EDGE.top + 11 }, "backend down"));
    }
    for (let value = 0; value <= this.top * 1.0001; value += step) {
      const y = Math.round(this.y(value)) + 0.5;
      parts.push(s("line", { x1: EDGE.left, x2: right, y1: y, y2: y }));
      parts.push(s("text", { x: EDGE.left - 6, y: y + 3.5, "text-anchor": "end" }, trimmed(this.options.format(value))));
    }
    const span = end - start;
    const room = right - EDGE.left;
    // Labels of whole minutes are shorter than those with seconds.
    const unit = [15, 30, 60, 120].find((it) => (it / span) * room >= (it < 60 && span > 60 ? 84 : 58)) ?? 300;
    for (let back = 0; back <= span + 0.5; back += unit) {
      const x = this.x(end - back);
      const anchor = back === 0 ? "end" : x < EDGE.left + 24 ? "start" : "middle";
      parts.push(s("text", { x, y: HEIGHT - 6, "text-anchor": anchor }, back === 0 ? "now" : `−${duration(back)}`));
    }
    this.grid.replaceChildren(...parts);
  }

  drawShapes(levels, stacked) {
    const { times } = this.frame;
    const floor = this.y(0);
    this.shapes.forEach(({ area, line }, index) => {
      let [outline, surface, run] = ["", "", []];
      const finish = () => {
        if (run.length === 0) return;
        const upper = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
        outline += `M${upper}${run.length === 1 ? "h1" : ""}`;
        const lower = run.map(([x, , low]) => `${x.toFixed(1)} ${low.toFixed(1)}`).reverse().join("L");
        surface += `M${upper}L${lower}Z`;
        run = [];
      };
      levels.forEach((level, at) => {
        const value = level ? level[index] : null;
        if (value === null || value === undefined) return finish();
        run.push([this.x(times[at]), this.y(value), index > 0 ? this.y(level[index - 1]) : floor]);
      });
      finish();
      line.setAttribute("d", outline);
      if (stacked) area.setAttribute("d", surface);
    });
    if (stacked) this.drawNames(levels);
    if (this.marks.firstChild) return;
    if (stacked) this.marks.append(...this.shapes.map(({ area }) => area));
    this.marks.append(...this.shapes.map(({ line }) => line), this.names);
  }

  /** Writes the name of each area into it, as far right as there is room. */
  drawNames(levels) {
    const xs = this.frame.times.map((time) => this.x(time));
    const texts = this.options.series.map(({ name }, index) => {
      const width = name.length * 6.5 + 8;
      for (let left = this.width - EDGE.right - width; left > EDGE.left; left -= 24) {
        let [top, bottom, points] = [-Infinity, Infinity, 0];
        levels.forEach((level, at) => {
          if (!level || xs[at] < left || xs[at] > left + width) return;
          points += 1;
          top = Math.max(top, this.y(level[index]));
          bottom = Math.min(bottom, index > 0 ? this.y(level[index - 1]) : this.y(0));
        });
        if (points > 1 && bottom - top >= 16) return s("text", { x: left + width / 2, y: (top + bottom) / 2 + 4, "text-anchor": "middle" }, name);
      }
      return null;
    });
    this.names.replaceChildren(...texts.filter((text) => text !== null));
  }

  point(x) {
    if (!this.frame || this.frame.times.length === 0) return;
    const { times } = this.frame;
    let nearest = 0;
    for (let at = 1; at < times.length; at += 1) {
      if (Math.abs(this.x(times[at]) - x) < Math.abs(this.x(times[nearest]) - x)) nearest = at;
    }
    this.select(nearest, false);
  }

  press(event) {
    const last = this.lastIndex();
    const from = this.cursor ?? last;
    const moves = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 30, PageDown: from + 30, Home: 0, End: last };
    if (event.key === "Escape") return this.leave();
    if (!(event.key in moves) || last < 0) return undefined;
    event.preventDefault();
    return this.select(Math.min(last, Math.max(0, moves[event.key])), true);
  }

  select(index, speak) {
    this.cursor = index < 0 ? null : index;
    this.showCursor();
    if (speak) setText(this.spoken, this.describe().map((parts) => parts.join(" ")).join(", "));
  }

  leave() {
    this.cursor = null;
    this.showCursor();
  }

  describe() {
    const { series, format } = this.options;
    const row = this.frame.rows[this.cursor];
    const age = this.frame.end - this.frame.times[this.cursor];
    const time = age < 0.5 ? "now" : `${duration(Math.round(age))} ago`;
    return [[time], ...series.map(({ name, read }) => [name, format(row ? read(row) : null)])];
  }

  showCursor() {
    const shown = this.cursor !== null && this.frame && this.width > 0;
    this.line.setAttribute("visibility", shown ? "visible" : "hidden");
    this.tip.hidden = !shown;
    if (!shown) return;
    const x = this.x(this.frame.times[this.cursor]);
    this.line.setAttribute("x1", x);
    this.line.setAttribute("x2", x);
    const [[time], ...rest] = this.describe();
    const { series, kind } = this.options;
    const lines = rest.map(([name, text], at) =>
      h("div", {}, swatch(series[at].tone, kind), h("span", {}, name), h("span", { class: "value" }, text)));
    // In the order in which areas are stacked.
    if (kind === "areas") lines.reverse();
    this.tip.replaceChildren(h("strong", {}, time), ...lines);
    const width = this.tip.offsetWidth;
    const left = x + 12 + width > this.width ? x - 12 - width : x + 12;
    this.tip.style.transform = `translate(${Math.max(0, Math.round(left))}px, 4px)`;
  }

  destroy() {
    this.observer.disconnect();
  }
}

/** The mark of a series in a legend: its colour and the dashes of its line. */
function swatch(tone, kind) {
  return s("svg", { class: "swatch", width: 22, height: 12, "aria-hidden": "true", focusable: "false" },
    kind === "areas" ? s("path", { class: `area ${tone}`, d: "M1 2H21V12H1Z" }) : null,
    s("path", { class: `line ${tone}`, d: kind === "areas" ? "M1 2H21" : "M1 6H21" }));
}
