// The tiles and charts that the overview and the page of a cache share.

import { h, setText } from "./dom.js";
import { TimeChart } from "./charts.js";
import { count, milliseconds, percent, rate } from "./format.js";

/** Over how many seconds "now" is. */
export const NOW = 10;

/** The results of gets, from the bottom of the stack. */
const RESULTS = [
  { name: "near hit", tone: "t-near", read: (row) => row.near },
  { name: "hit", tone: "t-hit", read: (row) => row.hit },
  { name: "stale", tone: "t-stale", read: (row) => row.stale },
  { name: "negative", tone: "t-negative", read: (row) => row.negative },
  { name: "miss", tone: "t-miss", read: (row) => row.miss },
];

const CHARTS = (slowest) => [
  { title: "Gets per second by result", kind: "areas", format: rate, series: RESULTS },
  { title: "Hit ratio", kind: "lines", format: percent, top: 1,
    series: [{ name: "hit ratio", tone: "t-hit", read: (row) => row.ratio }] },
  { title: "Load time", kind: "lines", format: milliseconds,
    note: slowest ? "The slowest cache at each moment." : null,
    series: [
      { name: "p50", tone: "t-hit", read: (row) => row.p50 },
      { name: "p95", tone: "t-stale", read: (row) => row.p95 },
      { name: "p99", tone: "t-miss", read: (row) => row.p99 },
    ] },
  { title: "Loads per second", kind: "lines", format: rate,
    note: "Coalesced: calls that shared another call's load.",
    series: [
      { name: "loads", tone: "t-hit", read: (row) => row.loads },
      { name: "coalesced", tone: "t-near", read: (row) => row.coalesced },
      { name: "failed", tone: "t-miss", read: (row) => row.errors },
    ] },
];

/** The charts of a cache, or of all together if the id is `null`. */
export class ChartSet {
  constructor(id) {
    this.id = id;
    this.charts = CHARTS(id === null).map((options) => new TimeChart(options));
    this.element = h("div", { class: "grid-charts" }, this.charts.map((chart) => chart.element));
  }

  update(history) {
    const frame = history.frame(this.id);
    for (const chart of this.charts) chart.update(frame);
  }

  destroy() {
    for (const chart of this.charts) chart.destroy();
  }
}

/** A row of figures, each with a name and a line of detail. */
export class Tiles {
  constructor(names) {
    this.tiles = names.map((name) => ({ name, value: h("span", { class: "figure" }, "–"), detail: h("span", { class: "detail" }) }));
    this.element = h("dl", { class: "tiles" }, this.tiles.map(({ name, value, detail }) =>
      h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, detail))));
  }

  update(figures) {
    figures.forEach(([value, detail], at) => {
      setText(this.tiles[at].value, value);
      setText(this.tiles[at].detail, detail);
    });
  }
}

/** The figures of a cache, or of all: ratio, gets, loads, load time, coalesced. */
export const FIGURES = ["Hit ratio, 10 s", "Gets, 10 s", "Loads, 10 s", "Load p95", "Coalesced, 10 s"];

export function figures(history, id, stats) {
  const now = history.mean(id, NOW);
  const all = history.mean(id, 300);
  const times = history.loadTimes(id);
  const share = now && now.loads > 0 && now.errors > 0 ? `${percent(now.errors / now.loads)} failed` : `${count(stats.loads)} in all`;
  return [
    [percent(now?.ratio), `5 min: ${percent(all?.ratio)}`],
    [rate(now?.gets), `${count(stats.hits + stats.misses)} in all`],
    [rate(now?.loads), share],
    [milliseconds(times?.p95), times ? `p50 ${milliseconds(times.p50)}, p99 ${milliseconds(times.p99)}` : "no load yet"],
    [rate(now?.coalesced), `${count(stats.coalesced)} in all`],
  ];
}
