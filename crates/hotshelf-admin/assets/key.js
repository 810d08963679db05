// One key: what is stored, what a call would find, and why.

import { fetchKey } from "./api.js";
import { data, empty, facts, h, hiddenCharacters, link, panel, replace, route } from "./dom.js";
import { bytes, duration } from "./format.js";
import { stateBadge } from "./keys.js";

function invalidateLink(store, name) {
  if (store.state && !store.state.writes) return null;
  const to = `${route("invalidate")}?${new URLSearchParams({ by: "key", name })}`;
  return link(to, { "aria-label": `Invalidate the key ${name}` }, "Invalidate");
}

export function create({ store, signal }, key) {
  const content = h("div", {});
  const status = h("p", { class: "note", role: "status" });
  const reload = h("button", { type: "button", click: () => load() }, "Read again");
  const element = h("div", {},
    h("div", { class: "page-head" }, h("h1", { class: "mono" }, data(key)), hiddenCharacters(key),
      h("p", { class: "under" }, link(route("keys"), {}, "All keys"), invalidateLink(store, key), reload)),
    status, content);

  /** The value is hidden until it is asked for: it may be personal. */
  function valuePanel(value) {
    const place = h("div", {});
    if (value === null) {
      const text = store.state?.values ? "There is no value to show." : "Values are hidden: the page was mounted without the right to show them.";
      place.append(empty(text));
      return panel("Value", place);
    }
    const text = h("pre", { class: "value-text", tabindex: 0, hidden: true, dir: "auto" }, value);
    const toggle = h("button", { type: "button", "aria-expanded": "false", click: () => {
      text.hidden = !text.hidden;
      toggle.setAttribute("aria-expanded", String(!text.hidden));
      toggle.textContent = text.hidden ? "Show the value" : "Hide the value";
    } }, "Show the value");
    place.append(toggle, text);
    return panel("Value", place);
  }

  function show(entry) {
    const parts = [];
    if (entry.found) {
      const cache = entry.cache === null ? "none" : link(route("cache", entry.cache), {}, data(entry.cache));
      parts.push(h("div", { class: "grid-tiers" },
        panel("Entry", facts([["State", stateBadge(entry.state)], ["Cache", cache], ["Size", bytes(entry.size)],
          ["Time to live", entry.ttl === null ? "none: it never expires" : duration(entry.ttl)], ["Age", duration(entry.age)]])),
        panel("Tags", entry.tags.length === 0 ? empty("The entry has no tags.")
          : [h("p", { class: "note" }, "Entries hold the ids of tags, not their names."),
            h("ul", { class: "tags" }, entry.tags.map((tag) => h("li", {}, data(tag, "data mono"))))])));
    } else {
      parts.push(empty("Nothing is stored under this key. Check its spelling, or ", link(route("keys"), {}, "search by prefix"), "."));
    }
    if (entry.explanation) parts.push(panel("What a call finds, and why", h("pre", { class: "explanation", tabindex: 0 }, entry.explanation)));
    if (entry.found) parts.push(valuePanel(entry.value));
    replace(content, parts);
  }

  async function load() {
    reload.disabled = true;
    status.textContent = "Reading the key…";
    try {
      show(await fetchKey(key, signal));
      status.textContent = "";
    } catch (error) {
      if (signal.aborted) return;
      replace(content);
      status.textContent = `Could not read the key: ${error.message}. Use “Read again” to repeat.`;
    } finally {
      reload.disabled = false;
    }
  }

  load();
  return { title: key, element };
}
