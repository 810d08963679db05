// Turns the cumulative counters of the samples into rates.

/** How many seconds the charts show. */
export const WINDOW = 300;
const COUNTERS = 8;
const LONGEST_GAP = 5;

function ratesOf(before, after, seconds) {
  const change = [];
  for (let at = 0; at < COUNTERS; at += 1) {
    change.push(after[at] - (before ? before[at] : 0));
    // A counter that shrinks: the process was restarted.
    if (change[at] < 0) return null;
  }
  const [near, hit, stale, negative, miss, loads, errors, coalesced] = change;
  const hits = near + hit + stale + negative;
  const counts = { gets: hits + miss, hits, near, hit, stale, negative, miss, loads, errors, coalesced };
  for (const name of Object.keys(counts)) counts[name] /= seconds;
  counts.ratio = counts.gets > 0 ? counts.hits / counts.gets : null;
  [counts.p50, counts.p95, counts.p99] = after.slice(COUNTERS, COUNTERS + 3).map((it) => it ?? null);
  return counts;
}

const larger = (one, other) => (one === null || (other !== null && other > one) ? other : one);

function totalOf(rows) {
  const total = { gets: 0, hits: 0, near: 0, hit: 0, stale: 0, negative: 0, miss: 0, loads: 0, errors: 0, coalesced: 0 };
  const summed = Object.keys(total);
  let [p50, p95, p99] = [null, null, null];
  for (const row of rows) {
    for (const name of summed) total[name] += row[name];
    p50 = larger(p50, row.p50);
    p95 = larger(p95, row.p95);
    p99 = larger(p99, row.p99);
  }
  return Object.assign(total, { ratio: total.gets > 0 ? total.hits / total.gets : null, p50, p95, p99 });
}

export class History {
  constructor() {
    this.reset();
  }

  reset() {
    this.points = [];
    this.last = null;
  }

  /** The time of the last sample, or 0. */
  get since() {
    return this.last ? this.last.at : 0;
  }

  /** Adds new samples. */
  add(samples) {
    for (const sample of samples) {
      if (this.last && sample.at <= this.last.at) continue;
      this.points.push(this.point(sample));
      this.last = sample;
    }
    const oldest = this.since - WINDOW;
    const kept = this.points.findIndex((point) => point.at >= oldest);
    if (kept > 0) this.points.splice(0, kept);
  }

  point(sample) {
    const before = this.last;
    const seconds = before ? sample.at - before.at : 0;
    const point = { at: sample.at, seconds, up: sample.up, caches: new Map(), total: null };
    if (!before || seconds > LONGEST_GAP) return point;
    let isWhole = true;
    for (const [id, counters] of Object.entries(sample.caches)) {
      const known = Object.hasOwn(before.caches, id) ? before.caches[id] : null;
      const row = ratesOf(known, counters, seconds);
      if (row) point.caches.set(id, row);
      else isWhole = false;
    }
    if (isWhole) point.total = totalOf(point.caches.values());
    return point;
  }

  /** The rates of a cache, or of all if the id is `null`, with the times when the backend failed. */
  frame(id) {
    const times = this.points.map((point) => point.at);
    const rows = this.points.map((point) => (id === null ? point.total : point.caches.get(id) ?? null));
    const end = this.since;
    const first = times.length > 0 ? times[0] : end;
    const start = Math.max(end - WINDOW, Math.min(first, end - 60));
    return { times, rows, start, end, downs: this.downs() };
  }

  downs() {
    const downs = [];
    let from = null;
    let before = null;
    for (const point of this.points) {
      if (!point.up && from === null) from = before ?? point.at;
      if (point.up && from !== null) {
        downs.push([from, point.at]);
        from = null;
      }
      before = point.at;
    }
    if (from !== null) downs.push([from, this.since]);
    return downs;
  }

  /** The mean rates of the last seconds, and the hit ratio over them; `null` if nothing is known. */
  mean(id, seconds) {
    const names = ["gets", "hits", "loads", "errors", "coalesced", "near", "stale", "miss"];
    const sum = Object.fromEntries(names.map((name) => [name, 0]));
    let time = 0;
    for (let at = this.points.length - 1; at >= 0 && this.points[at].at > this.since - seconds; at -= 1) {
      const point = this.points[at];
      const row = id === null ? point.total : point.caches.get(id);
      if (!row) continue;
      for (const name of names) sum[name] += row[name] * point.seconds;
      time += point.seconds;
    }
    if (time === 0) return null;
    for (const name of names) sum[name] /= time;
    return { ...sum, ratio: sum.gets > 0 ? sum.hits / sum.gets : null };
  }

  /** The last known load times of a cache, or of the slowest one. */
  loadTimes(id) {
    for (let at = this.points.length - 1; at >= 0; at -= 1) {
      const row = id === null ? this.points[at].total : this.points[at].caches.get(id);
      if (row && row.p50 !== null) return row;
    }
    return null;
  }
}
