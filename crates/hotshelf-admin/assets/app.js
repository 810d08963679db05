// The start of the page: one store, one poll, and a view for each address.

import { create as createCache } from "./cache.js";
import { empty, h, link, replace, route } from "./dom.js";
import { create as createEvents } from "./events.js";
import { createHeader } from "./header.js";
import { History } from "./history.js";
import { create as createInvalidate } from "./invalidate.js";
import { create as createKey } from "./key.js";
import { create as createKeys } from "./keys.js";
import { create as createOverview } from "./overview.js";
import { poll } from "./poll.js";

const VIEWS = { "": createOverview, cache: createCache, keys: createKeys, key: createKey, invalidate: createInvalidate, events: createEvents };
const NAMED = ["cache", "key"];

const main = document.getElementById("main");
const header = createHeader(document.getElementById("live"));
const store = { state: null, history: new History(), error: null, retry: 0, answered: null, changes: [], isMixed: false };
let view = null;
let controller = null;

function createUnknown() {
  return { title: "Not found", element: h("div", {}, h("h1", {}, "Not found"), empty("There is no such page. Go to the ", link(route(""), {}, "overview"), ".")) };
}

/** Reads the address: the name of the view, its argument and its query. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s, 2);
  const at = path.indexOf("/");
  const name = at === -1 ? path : path.slice(0, at);
  let argument = at === -1 ? "" : path.slice(at + 1);
  try {
    argument = decodeURIComponent(argument);
  } catch {
    return { name: null };
  }
  const fits = Object.hasOwn(VIEWS, name) && (argument !== "") === NAMED.includes(name);
  return { name: fits ? name : null, argument, query: new URLSearchParams(query ?? "") };
}

function show(isFirst) {
  view?.destroy?.();
  controller?.abort();
  controller = new AbortController();
  const { name, argument, query } = address();
  const context = { store, query, signal: controller.signal, announce: header.announce, go };
  view = name === null ? createUnknown() : VIEWS[name](context, argument);
  document.title = `${view.title.slice(0, 80)} · hotshelf`;
  header.mark(name);
  replace(main, view.element);
  view.update?.();
  if (isFirst) return;
  window.scrollTo(0, 0);
  const heading = main.querySelector("h1");
  heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
}

/** Goes to an address; the same address again repeats the view. */
function go(to) {
  if (location.href === to) show(false);
  else location.assign(to);
}

/** Each process has counters of its own: those of another one don't go on from the last. */
function noteProcess(process) {
  const changed = store.state !== null && process !== store.state.process;
  if (changed) store.history.reset();
  // One change is a restart.
  store.changes = [...store.changes.slice(-9), changed];
  store.isMixed = store.changes.filter(Boolean).length > 1;
}

function update() {
  header.update(store);
  header.tick(store);
}

window.addEventListener("hashchange", () => show(false));
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
setInterval(() => document.hidden || header.tick(store), 1000);

show(true);
poll({
  since: () => store.history.since,
  onState(state) {
    noteProcess(state.process);
    store.state = state;
    store.history.add(state.samples);
    Object.assign(store, { error: null, answered: performance.now() });
    update();
    view.update?.();
  },
  onError(error, retry) {
    Object.assign(store, { error, retry });
    update();
  },
});
