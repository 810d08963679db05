// What has happened, newest first.

import { badge, data, empty, field, h, replace, setText, shortData } from "./dom.js";
import { ago, count, duration, plural } from "./format.js";
import { table } from "./table.js";

const KINDS = {
  backend_fails: ["bad", "Backend fails"],
  backend_works: ["good", "Backend works"],
  invalidated: ["plain", "Invalidated"],
  slow_load: ["warn", "Slow load"],
  enabled: ["plain", "On or off"],
  admin: ["plain", "Admin page"],
};

const OPERATIONS = {
  read: "Reading", acquire: "Acquiring leases", capture: "Reading tags", store: "Storing", take: "Writing",
  renew: "Renewing leases", release: "Releasing leases", invalidate: "Invalidating",
};

/** Returns what an event says, as parts of text. */
function describe(event) {
  switch (event.kind) {
    case "backend_fails":
      return [`${OPERATIONS[event.operation] ?? event.operation} failed: `, data(event.error)];
    case "backend_works":
      return [`${OPERATIONS[event.operation] ?? event.operation} works again after ${plural(event.failures, "failure")}`];
    case "invalidated": {
      const names = event.names.flatMap((name, at) => (at === 0 ? [shortData(name, 120)] : [", ", shortData(name, 120)]));
      const more = event.count > event.names.length ? ` and ${count(event.count - event.names.length)} more` : "";
      return [`by ${event.by}: `, ...names, more, event.succeeded ? "" : " (failed: the entries may still be served)"];
    }
    case "slow_load":
      return [data(event.cache), ` took ${duration(event.seconds)}`];
    case "enabled":
      return [event.enabled ? "The cache was turned on" : "The cache was turned off: all calls run their loaders"];
    case "admin":
      return [data(event.who), ": ", data(event.what)];
    default:
      return [data(JSON.stringify(event))];
  }
}

function badgeOf(event) {
  const [tone, text] = KINDS[event.kind] ?? ["plain", event.kind];
  return badge(event.kind === "invalidated" && !event.succeeded ? "bad" : tone, text);
}

export function create({ store }) {
  const kind = h("select", { change: () => filterRows() }, h("option", { value: "" }, "All kinds"),
    Object.entries(KINDS).map(([value, [, text]]) => h("option", { value }, text)));
  const text = h("input", { type: "search", autocomplete: "off", spellcheck: "false", dir: "auto", input: () => filterRows() });
  const shown = h("p", { class: "note", role: "status" });
  const list = table("Events", [{ name: "When", className: "when" }, { name: "Kind", className: "kind" }, { name: "What", className: "main-cell" }]);
  const none = empty();
  const form = h("form", { class: "search", submit: (event) => event.preventDefault() }, field("Kind", kind), field("Contains", text, "wide"));
  const element = h("div", {}, h("h1", {}, "Events"), h("section", { class: "panel events" }, form, shown, list.element, none));
  let rows = [];
  let newest = null;

  function createRow(event) {
    const when = h("span", {}, ago(event.age));
    const elementOfRow = list.row([when, badgeOf(event), h("span", {}, describe(event))]);
    return { event, when, element: elementOfRow, text: `${elementOfRow.lastChild.textContent} ${(event.names ?? []).join(" ")}`.toLowerCase() };
  }

  function filterRows() {
    const wanted = text.value.trim().toLowerCase();
    let number = 0;
    for (const row of rows) {
      row.element.hidden = (kind.value !== "" && row.event.kind !== kind.value) || !row.text.includes(wanted);
      if (!row.element.hidden) number += 1;
    }
    list.element.hidden = number === 0;
    none.hidden = number > 0;
    setText(none, rows.length === 0 ? "Nothing has happened yet. Failures of the backend, invalidations and slow loads are listed here."
      : "No event matches. Clear the filter to see all of them.");
    setText(shown, rows.length === 0 ? "" : number === rows.length ? plural(number, "event") : `${count(number)} of ${plural(rows.length, "event")}`);
  }

  return {
    title: "Events",
    element,
    update() {
      const { state } = store;
      if (!state) return;
      const events = [...state.events].sort((a, b) => b.number - a.number);
      const mark = events.map(({ number }) => number).join();
      if (mark !== newest) {
        newest = mark;
        const old = new Map(rows.map((row) => [row.event.number, row]));
        rows = events.map((event) => {
          const row = old.get(event.number);
          return row && JSON.stringify({ ...row.event, age: 0 }) === JSON.stringify({ ...event, age: 0 }) ? row : createRow(event);
        });
        replace(list.body, rows.map((row) => row.element));
        filterRows();
      }
      events.forEach((event, at) => setText(rows[at].when, ago(event.age)));
    },
  };
}
