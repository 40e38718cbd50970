// As much of a document as the page uses; what could make markup of a text throws.

class FakeNode {
  constructor() {
    this.childNodes = [];
    this.parentNode = null;
  }

  get firstChild() { return this.childNodes[0] ?? null; }
  get lastChild() { return this.childNodes.at(-1) ?? null; }
  get nextSibling() {
    const all = this.parentNode?.childNodes ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }

  insertBefore(node, before) {
    node.remove();
    const at = before === null ? this.childNodes.length : this.childNodes.indexOf(before);
    if (at < 0) throw new Error("NotFoundError");
    this.childNodes.splice(at, 0, node);
    node.parentNode = this;
  }

  append(...nodes) {
    for (const node of nodes) {
      this.insertBefore(node instanceof FakeNode ? node : new FakeText(String(node)), null);
    }
  }

  replaceChildren(...nodes) {
    for (const node of [...this.childNodes]) node.remove();
    this.append(...nodes);
  }

  remove() {
    if (this.parentNode === null) return;
    const all = this.parentNode.childNodes;
    all.splice(all.indexOf(this), 1);
    this.parentNode = null;
  }

  get textContent() { return this.childNodes.map((node) => node.textContent).join(""); }
  set textContent(text) {
    this.replaceChildren(...(text === "" ? [] : [new FakeText(String(text))]));
  }
}

class FakeText extends FakeNode {
  constructor(text) {
    super();
    this.text = text;
  }

  get textContent() { return this.text; }
}

const forbidden = () => { throw new Error("a text must not become markup"); };

export class FakeElement extends FakeNode {
  constructor(tag) {
    super();
    this.tag = tag;
    this.attributes = new Map();
    this.listeners = new Map();
    this.hidden = false;
    this.value = "";
    for (const name of ["innerHTML", "outerHTML", "srcdoc"]) {
      Object.defineProperty(this, name, { set: forbidden });
    }
    this.insertAdjacentHTML = forbidden;
  }

  setAttribute(name, value) { this.attributes.set(name, String(value)); }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  addEventListener(name, act) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), act]);
  }
  removeEventListener(name, act) {
    this.listeners.set(name, this.listeners.get(name).filter((it) => it !== act));
  }
  dispatch(name) {
    for (const act of this.listeners.get(name) ?? []) act({ preventDefault() {} });
  }
  click() { this.dispatch("click"); }
  focus() { this.focused = true; }
  scrollIntoView() {}
  showModal() { this.open = true; }
  close() {
    this.open = false;
    this.dispatch("close");
    this.listeners.delete("close"); // all are `once`
  }

  /** This element and all below it. */
  *all() {
    yield this;
    for (const node of this.childNodes) if (node instanceof FakeElement) yield* node.all();
  }

  find(tag, text = "") {
    return [...this.all()].find((it) => it.tag === tag && it.textContent.includes(text));
  }
}

/** A document with the elements of `html` that have an id. */
export function fakeDocument(html) {
  const byId = new Map();
  for (const [, tag, attributes] of html.matchAll(/<(\w+)([^>]*)>/g)) {
    const id = /\bid="([^"]+)"/.exec(attributes)?.[1];
    if (id === undefined) continue;
    if (byId.has(id)) throw new Error(`two elements have the id ${id}`);
    byId.set(id, new FakeElement(tag));
    byId.get(id).hidden = /\bhidden\b/.test(attributes);
  }
  const document = new FakeElement("#document");
  document.visibilityState = "visible";
  const header = /data-key-header="([^"]+)"/.exec(html)[1];
  document.documentElement = { dataset: { keyHeader: header } };
  document.createElement = (tag) => new FakeElement(tag);
  document.createElementNS = (_, tag) => new FakeElement(tag);
  document.getElementById = (id) => {
    if (!byId.has(id)) throw new Error(`the page has no ${id}`);
    return byId.get(id);
  };
  document.everything = () => [...byId.values()];
  globalThis.document = document;
  return document;
}

export function fakeStorage() {
  const kept = new Map();
  return {
    kept,
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, String(value)),
    removeItem: (name) => void kept.delete(name),
  };
}

/** Wait until `found()` is something true; return it. */
export async function until(found, what, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = found();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
