// Builds elements. Data enters the page through text nodes and attributes only.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Creates an HTML element. An attribute whose value is a function is a listener. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Creates an SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Creates text that users wrote: isolated from the direction of the text around it. */
export function data(text, className = "data") {
  return h("bdi", { class: className, dir: "auto" }, text);
}

/** Like `data`, cut after a number of characters; the title has all of it. */
export function shortData(text, limit, className = "data mono") {
  const characters = [...text];
  if (characters.length <= limit) return data(text, className);
  const element = data(`${characters.slice(0, limit).join("")}…`, className);
  element.title = text;
  return element;
}

/** Creates a line that spells out invisible characters, which can make a text look like another;
 *  `null` if it has none. */
export function hiddenCharacters(text) {
  const spelt = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
  return spelt === text ? null : h("p", { class: "note" }, "Contains invisible characters: ", data(spelt, "data mono"));
}

/** Sets an element's text, unless it has it already. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, or removes it if the value is `null`, unless it is so already. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Replaces the children of an element. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined));
}

/** Encodes text for a part of an address; invalid UTF-16 is replaced. */
function encode(text) {
  return encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text);
}

/** Returns the address of a view. It is absolute, so that the base address doesn't change it. */
export function route(view, ...parts) {
  const path = [view, ...parts.map(encode)].filter((part) => part !== "").join("/");
  return `${location.href.split("#")[0]}#/${path}`;
}

/** Creates a link to a view. */
export function link(to, attributes, ...children) {
  return h("a", { href: to, ...attributes }, ...children);
}

/** Creates a panel with a heading. */
export function panel(title, ...children) {
  return h("section", { class: "panel" }, h("h2", {}, title), ...children);
}

/** Creates a list of names and values. */
export function facts(pairs) {
  const rows = pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return h("dl", { class: "facts" }, rows);
}

/** Updates such a list in place, so that a selection in it stays. Values are text or elements. */
export function updateFacts(list, pairs) {
  const rows = [...list.children];
  const isSame = rows.length === pairs.length && pairs.every(([name], at) => rows[at].firstChild.textContent === name);
  if (!isSame) return list.replaceChildren(...facts(pairs).children);
  pairs.forEach(([, value], at) => {
    const old = rows[at].lastChild;
    const text = typeof value === "string" ? value : value.textContent;
    if (old.textContent !== text) old.replaceChildren(value);
  });
  return undefined;
}

/** Creates the text of an empty place, which says what to do. */
export function empty(...text) {
  return h("p", { class: "empty" }, ...text);
}

/** Creates a mark with text: a state is never shown by its colour alone. */
export function badge(tone, text) {
  return h("span", { class: `badge ${tone}` }, text);
}

let lastId = 0;

/** Returns an id that no other element has. */
export function newId() {
  lastId += 1;
  return `e${lastId}`;
}

/** Creates a labelled control; the control gets an id. */
export function field(text, control, className = "") {
  control.id = newId();
  return h("div", { class: `field ${className}` }, h("label", { for: control.id }, text), control);
}

/** Creates the icon of hotshelf. */
export function icon() {
  return s("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    s("rect", { width: 24, height: 24, rx: 5, class: "icon-back" }),
    s("path", { d: "M5 18h14M5 12h14", class: "icon-line" }),
    s("path", { d: "M7 12V7h3v5M12 12V6h2v6M9 18v-3h6v3", class: "icon-fill" }));
}
