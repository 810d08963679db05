// The first view: all caches together.

import { badge, data, empty, facts, h, link, panel, replace, route, setAttribute, setText, updateFacts } from "./dom.js";
import { bytes, count, duration, percent, rate } from "./format.js";
import { ChartSet, FIGURES, figures, NOW, Tiles } from "./figures.js";
import { bar, Sparkline, table } from "./table.js";

const COLUMNS = [
  { name: "Cache", sort: "name", className: "main-cell" },
  { name: "Gets, 5 min", className: "spark-cell" },
  { name: "Gets", number: true, sort: "gets" },
  { name: "Hit ratio", number: true, sort: "ratio" },
  { name: "Loads", number: true, sort: "loads" },
  { name: "Failed", number: true, sort: "errors" },
];

function sum(caches) {
  const total = { hits: 0, misses: 0, loads: 0, coalesced: 0 };
  for (const { stats } of caches) for (const name of Object.keys(total)) total[name] += stats[name];
  return total;
}

/** How much of a limit is used. */
function meter(used, limit) {
  const share = used / limit;
  return h("span", { class: "meter" }, h("span", {}, `${bytes(used)} of ${bytes(limit)}`), bar(share, share > 0.95 ? "full" : ""));
}

/** The use of a tier in memory. */
function tier(memory) {
  const size = memory.max_bytes ? meter(memory.used_bytes, memory.max_bytes) : bytes(memory.used_bytes);
  return [["Entries", count(memory.entries)], ["Size", size], ["Evictions", count(memory.evictions)]];
}

function failureList(failures) {
  if (failures.length === 0) return empty("No operation has failed.");
  const { element, body, row } = table("Failed operations", [{ name: "Operation" }, { name: "Error" }, { name: "Count", number: true }]);
  body.append(...failures.map((it) => row([data(it.operation), data(it.error), count(it.count)])));
  return element;
}

export function create({ store }) {
  const tiles = new Tiles([...FIGURES, "Entries"]);
  const charts = new ChartSet(null);
  const tiers = h("div", { class: "grid-tiers" });
  const rows = new Map();
  let sort = { by: "gets", descending: true };

  const filter = h("input", { type: "search", class: "filter", "aria-label": "Filter caches by name", placeholder: "Filter by name",
    autocomplete: "off", spellcheck: "false", input: () => arrange() });
  const shown = h("span", { class: "count", role: "status" });
  const list = table("Caches", COLUMNS, (by) => {
    sort = { by, descending: sort.by === by ? !sort.descending : by !== "name" };
    arrange();
  });
  const none = empty();
  const caches = h("section", { class: "panel caches" },
    h("div", { class: "panel-head" }, h("h2", {}, "Caches"), shown, filter), list.element, none);
  const unused = h("p", { class: "note" }, "No call has gone through the caches of this process yet: its counters are empty. Those of a page that the command line serves stay so.");
  const element = h("div", {}, h("h1", {}, "Overview"), unused, tiles.element, charts.element, caches, tiers);

  function createRow(cache) {
    const spark = new Sparkline("Gets per second");
    const cells = { gets: h("span"), ratio: h("span"), loads: h("span"), errors: h("span") };
    const parts = h("span", { class: "sub" }, data(cache.prefix), cache.version === null ? null : [" · ", data(cache.version)], " · ", data(cache.value_type));
    const name = link(route("cache", cache.id), { class: "name" }, data(cache.name));
    const elementOfRow = list.row([[name, parts], spark.element, cells.gets, cells.ratio, cells.loads, cells.errors]);
    return { cache, spark, cells, element: elementOfRow, visible: true, figures: {} };
  }

  function updateRow(row, history) {
    const now = history.mean(row.cache.id, NOW);
    row.figures = { gets: now?.gets ?? 0, ratio: now?.ratio ?? -1, loads: now?.loads ?? 0, errors: now?.errors ?? 0 };
    setText(row.cells.gets, rate(now?.gets));
    setText(row.cells.ratio, percent(now?.ratio));
    setText(row.cells.loads, rate(now?.loads));
    setText(row.cells.errors, rate(now?.errors));
    setAttribute(row.cells.errors, "class", now?.errors > 0 ? "bad-text" : null);
    if (row.visible) row.spark.update(history.frame(row.cache.id), (it) => it.gets, rate);
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const row = rows.get(entry.target.dataset.id);
      if (row) row.visible = entry.isIntersecting;
      if (row?.visible) row.spark.update(store.history.frame(row.cache.id), (it) => it.gets, rate);
    }
  });

  /** Filters and sorts the rows. They are moved only where the order has changed. */
  function arrange() {
    const { by, descending } = sort;
    list.markSort(by, descending ? "descending" : "ascending");
    const text = filter.value.trim().toLowerCase();
    const kept = [...rows.values()].filter(({ cache }) => cache.id.toLowerCase().includes(text));
    const names = (a, b) => (a.cache.id < b.cache.id ? -1 : 1);
    kept.sort((a, b) => (by === "name" ? names(a, b) : a.figures[by] - b.figures[by] || -names(a, b)));
    if (descending) kept.reverse();
    const wanted = kept.map((row) => row.element);
    if (wanted.length !== list.body.children.length || wanted.some((it, at) => list.body.children[at] !== it)) {
      const focused = document.activeElement;
      list.body.replaceChildren(...wanted);
      if (focused !== document.activeElement && list.body.contains(focused)) focused.focus({ preventScroll: true });
    }
    setText(shown, text ? `${kept.length} of ${rows.size}` : String(rows.size));
    list.element.hidden = kept.length === 0;
    none.hidden = kept.length > 0;
    setText(none, rows.size === 0 ? "No cache yet. Caches are listed here once the service has created them."
      : "No cache has this text in its name. Clear the filter to see all of them.");
  }

  let arranged = 0;

  function updateCaches(state, history) {
    const current = new Map(state.metrics.caches.map((cache) => [cache.id, cache]));
    let changed = rows.size !== current.size;
    for (const [id, row] of rows) {
      if (current.has(id)) continue;
      watcher.unobserve(row.element);
      row.element.remove();
      rows.delete(id);
      changed = true;
    }
    for (const [id, cache] of current) {
      if (!rows.has(id)) {
        const row = createRow(cache);
        row.element.dataset.id = id;
        rows.set(id, row);
        watcher.observe(row.element);
        changed = true;
      }
      updateRow(rows.get(id), history);
    }
    // Rows that jump every second can't be read or clicked.
    const busy = list.body.contains(document.activeElement) || list.body.matches(":hover");
    if (changed || (!busy && state.now - arranged >= 10)) {
      arranged = state.now;
      arrange();
    }
  }

  const serverFacts = facts([]);
  const serverName = h("h2", {});
  const limits = h("div", { class: "limits" });
  const nearFacts = facts([]);
  const nearPanel = panel("Near tier", nearFacts);
  const invalidationFacts = facts([]);
  const failed = h("div", {});
  tiers.append(h("section", { class: "panel" }, serverName, serverFacts, limits), nearPanel,
    panel("Invalidations since the start", invalidationFacts), panel("Failures since the start", failed));
  let marks = {};

  function updateTiers({ backend, server, metrics, address, up }) {
    const { memory, near, failures, invalidations } = metrics;
    const pairs = [["Address", data(address)], ["State", up ? badge("good", "works") : badge("bad", "fails")]];
    if (server) {
      pairs.push(["Version", data(server.version)], ["Uptime", duration(server.uptime)], ["Clients", count(server.connected_clients)],
        ["Memory", server.max_memory ? meter(server.used_memory, server.max_memory) : `${bytes(server.used_memory)}, no limit`]);
    }
    // The size of the store in memory is shown once.
    if (memory) pairs.push(...tier(memory).filter(([name]) => name !== "Size" || !server?.max_memory));
    setText(serverName, backend === "redis" ? "Server" : "Memory");
    updateFacts(serverFacts, pairs);
    nearPanel.hidden = !near;
    if (near) {
      updateFacts(nearFacts, [...tier(near), ["Validity age", near.validity_age === null ? "not validated yet" : duration(near.validity_age)],
        ["Max staleness", duration(near.max_staleness)]]);
    }
    updateFacts(invalidationFacts, [["Keys", count(invalidations.keys)], ["Tags", count(invalidations.tags)], ["Patterns", count(invalidations.patterns)]]);
    const next = { limits: JSON.stringify(server?.limitations ?? []), failures: JSON.stringify(failures) };
    if (next.limits !== marks.limits) {
      const texts = server?.limitations ?? [];
      replace(limits, texts.length === 0 ? null : [h("h3", {}, "Limitations"), h("ul", {}, texts.map((text) => h("li", {}, data(text))))]);
    }
    if (next.failures !== marks.failures) replace(failed, failureList(failures));
    marks = next;
  }

  return {
    title: "Overview",
    element,
    update() {
      const { state, history } = store;
      if (!state) return;
      const { memory, near } = state.metrics;
      const held = memory ?? near;
      const used = state.server ? [bytes(state.server.used_memory), "used by the server"] : ["–", "not known"];
      const entries = held ? [count(held.entries), `${bytes(held.used_bytes)}, ${count(held.evictions)} evicted`] : used;
      setText(tiles.element.lastChild.firstChild, memory ? "Entries" : near ? "Near entries" : "Memory");
      const total = sum(state.metrics.caches);
      unused.hidden = total.hits + total.misses + total.loads > 0;
      tiles.update([...figures(history, null, total), entries]);
      charts.update(history);
      updateCaches(state, history);
      updateTiers(state);
    },
    destroy() {
      charts.destroy();
      watcher.disconnect();
    },
  };
}
