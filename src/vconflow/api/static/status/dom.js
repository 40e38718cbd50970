// Building and updating nodes. Texts are only ever set as text: names come from outside.

const SVG = "http://www.w3.org/2000/svg";

/** A new element; `attributes` must hold nothing but what this page itself says or `title`s. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  // A string becomes a text node, whatever is in it.
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Set a text only if it is another one: what is selected or read out stays so. */
export function say(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

/** Show `items` as children of `parent`; the node of an item stays, with its focus. */
export class Rows {
  constructor(parent, make, update = () => {}) {
    this.parent = parent;
    this.make = make;
    this.update = update;
    this.nodes = new Map();
  }

  show(items, keyOf) {
    const keys = new Set(items.map(keyOf));
    for (const [key, node] of this.nodes) {
      if (!keys.has(key)) {
        node.remove();
        this.nodes.delete(key);
      }
    }
    let next = this.parent.firstChild;
    for (const item of items) {
      const key = keyOf(item);
      let node = this.nodes.get(key);
      if (node === undefined) {
        node = this.make(item);
        this.nodes.set(key, node);
      }
      if (node === next) next = next.nextSibling;
      else this.parent.insertBefore(node, next);
      this.update(node, item);
    }
  }
}

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });

export const count = (number) => whole.format(number);
export const rough = (number) => fine.format(number);

export function duration(seconds) {
  if (seconds < 1) return seconds > 0 ? `${whole.format(seconds * 1000)} ms` : "0 s";
  if (seconds < 120) return `${fine.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  if (seconds < 172800) return `${whole.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86400)} d`;
}

/** A moment in Unix milliseconds or as RFC 3339: the time of a day, or the day too. */
export function moment(at) {
  const date = new Date(at);
  if (!at || Number.isNaN(date.getTime())) return "";
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}
