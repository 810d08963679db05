// The header, and the notices below it: no answer, a failing backend, a cache that is off.

import { data, h, icon, link, replace, route, setAttribute, setText } from "./dom.js";
import { ago, count, duration } from "./format.js";

const VIEWS = [["", "Overview"], ["keys", "Keys"], ["invalidate", "Invalidate"], ["events", "Events"]];

export function createHeader(live) {
  const version = h("span", { class: "version" });
  const address = data("", "data mono address");
  const backend = h("span", { class: "status" });
  const enabled = h("span", { class: "status" });
  const age = h("span", { class: "age" }, "Connecting…");
  replace(document.getElementById("bar"),
    h("span", { class: "brand" }, icon(), h("span", {}, "hotshelf"), version), address,
    h("span", { class: "states" }, backend, enabled, age));
  const tabs = VIEWS.map(([view, text]) => link(route(view), {}, text));
  replace(document.getElementById("tabs"), tabs);
  const notices = document.getElementById("notices");
  let known = {};

  /** Says a change once, to screen readers. */
  function announce(text) {
    // The same text again would not be read.
    live.textContent = live.textContent === text ? `${text}\u00a0` : text;
  }

  const status = (element, tone, text) => {
    setAttribute(element, "class", `status ${tone}`);
    setText(element, text);
  };

  function notice(tone, title, ...text) {
    return h("div", { class: `notice ${tone}` }, h("strong", {}, title), " ", h("span", {}, ...text));
  }

  function failing({ failures }) {
    if (failures.length === 0) return [];
    const listed = failures.slice(0, 4).flatMap(({ operation, error, count: number }, at) =>
      [at === 0 ? "" : "; ", data(operation), ": ", data(error), `, ${number === 1 ? "once" : `${count(number)} times`}`]);
    return ["Failed since the start: ", ...listed, failures.length > 4 ? `; and ${failures.length - 4} more. ` : ". "];
  }

  function meanwhile({ near }) {
    const served = near ? `Values in the near tier are served for up to ${duration(near.max_staleness)}; ` : "";
    return `${served}${near ? "other calls" : "Calls"} run their loaders and don't store what they load, and invalidations fail. hotshelf reconnects by itself.`;
  }

  function showNotices(store) {
    const { state, error } = store;
    const shown = [];
    if (error?.isRefusal) shown.push(notice("bad", "No access.", error.message, state ? " The figures below are old." : ""));
    else if (error) {
      shown.push(notice("bad", "No answer from the service:", `${error.message}. Trying again every ${duration(store.retry)}.`,
        state ? " The figures below are old." : ""));
    }
    if (state && !state.up) shown.push(notice("bad", "The backend fails.", ...failing(state.metrics), meanwhile(state.metrics)));
    if (state && !state.enabled) shown.push(notice("warn", "The cache is off.", "All calls run their loaders."));
    if (store.isMixed) {
      shown.push(notice("warn", "Several processes answer.",
        "Each has counters of its own, so that the figures jump from one to another. Mount the page where one process answers."));
    }
    replace(notices, shown);
  }

  function announceChanges({ state, error }) {
    const next = { answer: !error, up: state?.up, enabled: state?.enabled };
    const texts = [];
    if (known.answer !== undefined && next.answer !== known.answer) {
      texts.push(next.answer ? "The service answers again." : error.isRefusal ? error.message : "No answer from the service.");
    }
    if (known.up !== undefined && next.up !== undefined && next.up !== known.up) texts.push(next.up ? "The backend works again." : "The backend fails.");
    if (known.enabled !== undefined && next.enabled !== undefined && next.enabled !== known.enabled) texts.push(next.enabled ? "The cache is on." : "The cache is off.");
    known = next;
    if (texts.length > 0) announce(texts.join(" "));
  }

  let shownNotices = "";

  return {
    announce,
    /** Shows a state or an error. */
    update(store) {
      const { state, error } = store;
      if (state) {
        setText(version, state.version);
        setText(address, state.address);
        setAttribute(address, "title", state.address);
        if (error) status(backend, "unknown", "State not known");
        else status(backend, state.up ? "good" : "bad", state.up ? "Backend works" : "Backend fails");
        status(enabled, state.enabled ? "good" : "off", state.enabled ? "Cache on" : "Cache off");
      }
      const mark = JSON.stringify([error?.message, store.retry, store.isMixed, state?.up, state?.enabled, state?.up ? null : state?.metrics.failures]);
      if (mark !== shownNotices) showNotices(store);
      shownNotices = mark;
      announceChanges(store);
    },
    /** Shows how old the figures are. */
    tick(store) {
      if (store.answered === null) return;
      const seconds = (performance.now() - store.answered) / 1000;
      setText(age, seconds < 2 ? "Updated now" : `Updated ${ago(seconds)}`);
    },
    /** Marks the tab of a view. */
    mark(view) {
      const current = { cache: "", key: "keys" }[view] ?? view;
      VIEWS.forEach(([name], at) => setAttribute(tabs[at], "aria-current", name === current ? "page" : null));
    },
  };
}
