// One cache: its figures, the options in force, the hottest keys, times to live.

import { fetchCache } from "./api.js";
import { badge, data, empty, facts, h, link, panel, replace, route, updateFacts } from "./dom.js";
import { count } from "./format.js";
import { ChartSet, FIGURES, figures, Tiles } from "./figures.js";
import { bars, table } from "./table.js";

const COUNTERS = {
  hits: "Hits, all tiers",
  near_hits: "Near hits",
  stale_hits: "Stale hits",
  near_stale_hits: "Stale hits in the near tier",
  negatives: "Negatives: known to be absent",
  near_negatives: "Negatives in the near tier",
  stale: "Stale values that callers got",
  stale_instead: "Stale instead of an error or a slow load",
  misses: "Misses",
  loads: "Loads",
  refreshes: "Loads to refresh",
  load_errors: "Failed loads",
  timed_out: "Calls that stopped waiting",
  backed_off: "Calls without a load after a failure",
  coalesced: "Calls that shared a load",
  errors: "Errors",
  foreign: "Untracked or unreadable entries",
  other_tags: "Misses because of other tags",
  stored: "Stored values",
  refused: "Refused: invalidated meanwhile",
  degraded: "Loads without the right to store",
  handed_over: "Loads handed over",
  unstorable: "Values too large or not encodable",
};

export function create({ store, signal }, id) {
  const tiles = new Tiles(FIGURES);
  const charts = new ChartSet(id);
  const heading = h("h1", {}, data(id));
  const line = h("p", { class: "under" });
  const note = h("div", {});
  const figuresPart = h("div", {}, tiles.element, charts.element);
  const counters = panel("Counters since the start");
  counters.classList.add("counters");
  const counterList = facts([]);
  counters.append(counterList);
  const details = h("div", { class: "grid-tiers" });
  const reload = h("button", { type: "button", click: () => load() }, "Read again");
  const status = h("p", { class: "note", role: "status" });
  const sampled = h("section", {},
    h("div", { class: "panel-head loose" }, h("h2", {}, "Options and samples"), reload), status, details);
  const element = h("div", {}, h("div", { class: "page-head" }, heading, line), note, figuresPart, sampled, counters);
  let seen = null;

  function show({ options, hot, ttl }) {
    const keys = hot.length === 0 ? empty("No key was sampled. Keys appear here once the cache is read.") : (() => {
      const { element: list, body, row } = table("Hottest keys", [{ name: "Key", className: "main-cell" }, { name: "Reads sampled", number: true }]);
      body.append(...hot.map(([key, reads]) => row([link(route("key", key), { class: "key", title: key }, data(key)), count(reads)])));
      return list;
    })();
    const histogram = ttl.sampled === 0 ? empty("No entry was found. Entries appear here once the cache has stored values.")
      : [h("p", { class: "note" }, `Of ${count(ttl.sampled)} sampled entries.`),
        bars("Times to live", ["Left", "Entries"], ttl.buckets.map(([label, number]) => [data(label), number]), count)];
    replace(details,
      panel("Hottest keys", keys),
      panel("Time to live", histogram),
      ...options.map((of) => panel(options.length > 1 ? `Options in force: ${of.type}` : "Options in force",
        facts(of.options.map(([name, text]) => [data(name), data(text)])))));
  }

  async function load() {
    reload.disabled = true;
    status.textContent = "Reading a sample…";
    try {
      show(await fetchCache(id, signal));
      status.textContent = "";
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = `Could not read the sample: ${error.message}. Use “Read again” to repeat.`;
    } finally {
      reload.disabled = false;
    }
  }

  load();
  return {
    title: id,
    element,
    update() {
      const { state, history } = store;
      if (!state) return;
      const cache = state.metrics.caches.find((it) => it.id === id) ?? null;
      for (const part of [figuresPart, sampled, counters]) part.hidden = cache === null;
      if (!cache) {
        if (seen !== "none") replace(note, empty("The service has no cache with this id. It may have been renamed, or not be created yet. See the ", link(route(""), {}, "list of caches"), "."));
        seen = "none";
        return;
      }
      if (seen !== "known") {
        replace(note);
        replace(heading, data(cache.name));
        replace(line, link(route(""), {}, "All caches"), badge("plain", data(cache.value_type)), h("span", {}, "prefix ", data(cache.prefix, "data mono")),
          cache.version === null ? null : h("span", {}, "version ", data(cache.version, "data mono")),
          link(route("keys") + "?" + new URLSearchParams({ by: "prefix", q: cache.key_prefix }), {}, "Keys"),
          state.writes ? link(route("invalidate") + "?" + new URLSearchParams({ by: "cache", name: cache.id }), {}, "Invalidate") : null);
        seen = "known";
      }
      tiles.update(figures(history, id, cache.stats));
      charts.update(history);
      updateFacts(counterList, Object.entries(cache.stats).map(([name, value]) => [COUNTERS[name] ?? name.replaceAll("_", " "), count(value)]));
    },
    destroy: () => charts.destroy(),
  };
}
