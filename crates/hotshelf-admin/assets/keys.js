// Finding keys: exactly, by prefix or by pattern, with a cursor.

import { fetchKeys } from "./api.js";
import { badge, data, empty, field, h, link, replace, route } from "./dom.js";
import { bytes, count, duration, plural } from "./format.js";
import { table } from "./table.js";

/** How the state of an entry is shown. */
export const STATES = {
  fresh: ["good", "fresh"],
  stale: ["warn", "stale"],
  absent: ["plain", "known absent"],
  unreadable: ["warn", "unreadable"],
  foreign: ["plain", "untracked"],
};

/** How many scans a search may take until it finds the first key. */
const SCANS = 50;

const COLUMNS = [
  { name: "Key", className: "main-cell" }, { name: "Cache", className: "cache-cell" }, { name: "State" },
  { name: "TTL", number: true }, { name: "Age", number: true }, { name: "Size", number: true }, { name: "Tags", number: true },
];

export function stateBadge(state) {
  const [tone, text] = STATES[state] ?? ["plain", state];
  return badge(tone, text);
}

/** Returns the glob that matches exactly what begins with a text. */
export function prefixPattern(text) {
  return `${text.replace(/[\\*?[\]^]/g, "\\$&")}*`;
}

/** Creates a search form for keys; it changes the address, which starts the search. */
export function create({ signal, query, go, announce }) {
  const by = h("select", {}, h("option", { value: "prefix" }, "Prefix"), h("option", { value: "key" }, "Exact key"), h("option", { value: "pattern" }, "Pattern"));
  by.value = ["prefix", "pattern"].includes(query.get("by")) ? query.get("by") : "prefix";
  const text = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", dir: "auto", input: () => { given = null; } });
  // Inputs drop line breaks, which keys may contain: what was given counts until it is edited.
  let given = query.get("q");
  const wanted = () => given ?? text.value;
  text.value = given ?? "";
  const submit = h("button", { type: "submit", class: "primary" }, "Search");
  const form = h("form", { class: "search", role: "search", submit: (event) => {
    event.preventDefault();
    if (by.value === "key") {
      if (wanted()) go(route("key", wanted()));
      else text.focus();
    } else {
      go(`${route("keys")}?${new URLSearchParams({ by: by.value, q: wanted() })}`);
    }
  } }, field("Search by", by), field("Text", text, "wide"), submit);

  const status = h("p", { class: "note", role: "status" });
  const list = table("Keys", COLUMNS);
  const more = h("button", { type: "button", click: () => scanOn() }, "Load more");
  const results = h("section", { class: "panel", hidden: true }, h("h2", {}, "Results"), status, list.element, h("p", { class: "more" }, more));
  const hint = empty("Enter the beginning of a key, for example ", h("code", {}, "shop:v1:product:"),
    ", and choose Search. An empty text lists all keys of the caches. In a pattern, ", h("code", {}, "*"), " stands for any text.");
  const element = h("div", {}, h("h1", {}, "Keys"), h("section", { class: "panel" }, form), hint, results);

  const known = new Set();
  let scan = null;
  let scanned = 0;

  function row(entry) {
    const name = link(route("key", entry.key), { class: "key", title: entry.key }, data(entry.key));
    return list.row([name, entry.cache === null ? "–" : h("span", { class: "one-line", title: entry.cache }, data(entry.cache)), stateBadge(entry.state),
      entry.ttl === null ? "none" : duration(entry.ttl), duration(entry.age), bytes(entry.size), count(entry.tags)]);
  }

  async function scanOn() {
    const searched = query.get("q");
    const pattern = query.get("by") === "pattern" ? searched || "*" : prefixPattern(searched);
    more.disabled = true;
    submit.disabled = true;
    const before = known.size;
    let first = null;
    try {
      for (let turn = 0; turn < SCANS; turn += 1) {
        status.textContent = `Scanning… ${plural(scanned, "key")} read so far.`;
        const page = await fetchKeys(pattern, scan, signal);
        scan = page.scan;
        scanned += page.scanned;
        for (const entry of page.keys) {
          // A scan may return a key twice.
          if (known.has(entry.key)) continue;
          known.add(entry.key);
          const element = row(entry);
          first ??= element;
          list.body.append(element);
        }
        if (known.size > before || scan === null) break;
      }
      const end = scan === null ? "That is all." : "There may be more.";
      status.textContent = known.size === 0 && scan === null
        ? `No key matches. ${plural(scanned, "key")} of the server matched, and none is of a cache of this process. Try a shorter prefix, or a pattern with * around the text.`
        : `${plural(known.size, "key")} found. ${end}`;
      if (before > 0 && first) first.querySelector("a").focus();
    } catch (error) {
      if (signal.aborted) return;
      scan = null;
      status.textContent = `The search stopped: ${error.message}. Search again to start over.`;
      announce(status.textContent);
    } finally {
      more.disabled = false;
      submit.disabled = false;
      list.element.hidden = known.size === 0;
      more.hidden = scan === null;
    }
  }

  if (query.has("q")) {
    hint.hidden = true;
    results.hidden = false;
    more.hidden = true;
    list.element.hidden = true;
    scanOn();
  } else {
    replace(list.body);
  }
  return { title: "Keys", element };
}
