// Invalidation in two steps: a preview, then a button that names what is removed; and the log.

import { fetchLog, invalidate } from "./api.js";
import { data, empty, field, h, hiddenCharacters, newId, replace, setText } from "./dom.js";
import { ago, count, plural } from "./format.js";
import { table } from "./table.js";

const KINDS = {
  key: { label: "Key", hint: "The exact key of one entry, as the keys page shows it.", noun: "the key" },
  tag: { label: "Tag", hint: "All entries that carry this tag.", noun: "the tag" },
  cache: { label: "Cache", hint: "All entries of one cache.", noun: "the cache" },
  pattern: { label: "Pattern", hint: "All keys that match; * stands for any text. It begins with the prefix, version and name of a cache, as its keys do.", noun: "the pattern" },
};
const LOG_INTERVAL = 10000;

const matching = (matches) => (matches === null ? "The number of entries is not known before the invalidation." :
  matches === 0 ? "Nothing matches at the moment." : `${plural(matches, "entry", "entries")} would be removed.`);

export function create({ store, signal, query, announce }) {
  const place = h("div", {});
  const result = h("div", { class: "result" });
  const log = createLog(signal);
  const element = h("div", {}, h("h1", {}, "Invalidate"), place, result, log.element);
  let mode = null;

  function build() {
    let preview = null;
    const radios = Object.entries(KINDS).map(([value, { label }]) => {
      const input = h("input", { type: "radio", name: "by", value, id: newId(), change: () => choose() });
      return { input, element: h("span", { class: "choice" }, input, h("label", { for: input.id }, label)) };
    });
    const by = () => radios.find(({ input }) => input.checked).input.value;
    const start = Object.hasOwn(KINDS, query.get("by") ?? "") ? query.get("by") : "key";
    radios.find(({ input }) => input.value === start).input.checked = true;

    const hint = h("p", { class: "note", id: newId() });
    const text = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", dir: "auto", "aria-describedby": hint.id, input: () => {
      given = null;
      discard();
    } });
    // An input drops line breaks, which keys may contain: what was given counts until it is edited.
    let given = query.get("name");
    text.value = given ?? "";
    const known = store.state.metrics.caches.map(({ id }) => id).sort();
    const caches = h("select", { "aria-describedby": hint.id, change: () => discard() }, known.map((id) => h("option", { value: id }, id)));
    if (start === "cache" && known.includes(text.value)) caches.value = text.value;
    const textField = field("Name", text, "wide");
    const cacheField = field("Cache", caches, "wide");
    const check = h("button", { type: "submit", class: "primary" }, "Preview");
    const step = h("div", { class: "step", hidden: true });
    const form = h("form", { submit: (event) => {
      event.preventDefault();
      dryRun();
    } }, h("fieldset", {}, h("legend", {}, "Invalidate by"), radios.map((it) => it.element)),
      h("div", { class: "search" }, textField, cacheField, check), hint);

    function choose() {
      const kind = by();
      setText(hint, KINDS[kind].hint);
      textField.hidden = kind === "cache";
      cacheField.hidden = kind !== "cache";
      discard();
    }

    /** A preview is only for what was entered when it was made. */
    function discard() {
      preview = null;
      step.hidden = true;
      replace(step);
    }

    async function dryRun() {
      const kind = by();
      const name = kind === "cache" ? caches.value : given ?? text.value;
      replace(result);
      discard();
      if (!name) {
        const message = kind === "cache" ? "There is no cache to choose." : "Enter a name first.";
        fail(message);
        if (kind !== "cache") text.focus();
        return;
      }
      const wanted = { kind, name };
      preview = wanted;
      check.disabled = true;
      setText(check, "Looking…");
      try {
        const answer = await invalidate(kind, name, true, signal);
        if (preview !== wanted) return;
        if (answer.error) fail(`The preview failed: ${answer.error}`);
        else confirm(wanted, answer);
      } catch (error) {
        if (!signal.aborted) fail(`The preview failed: ${error.message}`);
      } finally {
        check.disabled = false;
        setText(check, "Preview");
      }
    }

    function confirm(wanted, { matches, names }) {
      const { kind, name } = wanted;
      const heading = h("h2", { tabindex: -1 }, "Preview: nothing was removed yet");
      const listed = names.length === 0 ? null : h("ul", { class: "names", tabindex: 0, "aria-label": "The first matches" }, names.map((it) => h("li", {}, data(it, "data mono"))));
      const rest = matches !== null && names.length > 0 && matches > names.length ? h("p", { class: "note" }, `and ${count(matches - names.length)} more`) : null;
      const button = h("button", { type: "button", class: "danger", click: () => apply(wanted, button) }, `Invalidate ${KINDS[kind].noun} `, data(name, "data mono clamp"));
      replace(step, heading, h("p", {}, matching(matches)), listed, rest, hiddenCharacters(name),
        h("div", { class: "actions" }, button, h("button", { type: "button", click: () => {
          discard();
          (kind === "cache" ? caches : text).focus();
        } }, "Cancel")));
      step.hidden = false;
      heading.focus();
      announce(matching(matches));
    }

    async function apply({ kind, name }, button) {
      button.disabled = true;
      try {
        const answer = await invalidate(kind, name, false, signal);
        discard();
        if (answer.applied && !answer.error) succeed(kind, name, answer.removed);
        else fail(`Not invalidated: ${answer.error ?? "the service did not apply it"}. The entries may still be served.`);
      } catch (error) {
        if (signal.aborted) return;
        discard();
        fail(`The invalidation may have failed: ${error.message}. See the log below, and try again.`);
      }
      log.load();
    }

    choose();
    replace(place, h("section", { class: "panel" }, form, step));
  }

  function say(className, ...content) {
    const text = h("p", { class: `outcome ${className}`, tabindex: -1 }, ...content);
    replace(result, text);
    announce(text.textContent);
    return text;
  }

  const fail = (message) => say("bad", message);

  function succeed(kind, name, removed) {
    const number = removed === null ? "" : ` ${plural(removed, "entry was", "entries were")} removed.`;
    say("good", `Invalidated ${KINDS[kind].noun} `, data(name, "data mono"), `.${number}`).focus();
  }

  return {
    title: "Invalidate",
    element,
    update() {
      if (!store.state) return;
      const next = store.state.writes ? "writes" : "reads";
      if (next === mode) return;
      mode = next;
      if (mode === "writes") build();
      else replace(place, empty("This page is read-only: it was mounted without the right to write. Mount it with writes allowed to invalidate from here; the command ", h("code", {}, "hotshelf invalidate"), " does the same from a terminal."));
    },
    destroy: () => log.destroy(),
  };
}

/** The log of what was done from this page. It is read again every few seconds. */
function createLog(signal) {
  const list = table("Log of changes", [{ name: "When" }, { name: "Who" }, { name: "What", className: "main-cell" }, { name: "Outcome" }]);
  const status = h("p", { class: "note" });
  const element = h("section", { class: "panel log" }, h("h2", {}, "Log"), status, list.element);
  let pending = false;

  async function load() {
    if (pending || document.hidden) return;
    pending = true;
    try {
      const { entries } = await fetchLog(signal);
      const sorted = [...entries].sort((a, b) => a.age - b.age);
      replace(list.body, sorted.map((it) => list.row([ago(it.age), data(it.who), data(it.what), data(it.outcome)])));
      list.element.hidden = sorted.length === 0;
      setText(status, sorted.length === 0 ? "Nothing was invalidated from this page yet. Each change is listed here with who made it." : "");
    } catch (error) {
      if (!signal.aborted) setText(status, `Could not read the log: ${error.message}. It is read again in ${LOG_INTERVAL / 1000} s.`);
    } finally {
      pending = false;
    }
  }

  list.element.hidden = true;
  load();
  const timer = setInterval(load, LOG_INTERVAL);
  return { element, load, destroy: () => clearInterval(timer) };
}
