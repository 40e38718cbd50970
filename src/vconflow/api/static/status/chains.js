// Chains as they flow: lists, links, storages, lists; with numbers and the rate of late.

import { Rows, count, duration, el, rough, say, setClass, svg } from "./dom.js";

const MOST_SAMPLES = 150; // five minutes
const WIDTH = 150;
const HEIGHT = 32;

const NUMBERS = [
  ["depth", "waiting", count],
  ["oldest_seconds", "oldest", duration],
  ["pending", "taken", count],
  ["in_flight", "in flight*", count],
  ["retrying", "retrying*", count],
  ["dead", "dead", count],
  ["rate", "per second*", rough],
];

/** `[text, class]` of the state of a chain. */
export function stateOf(chain) {
  if (!chain.enabled) return ["disabled", "badge"];
  if (chain.held) return [`held: ${chain.held}`, "badge bad"];
  if (chain.paused) return ["paused", "badge warn"];
  return ["running", "badge good"];
}

/** The points of a line through `samples`, the last one at the right. */
export function points(samples) {
  const most = Math.max(...samples, 0) || 1;
  return samples
    .map((value, index) => {
      const x = WIDTH - (samples.length - 1 - index) * (WIDTH / (MOST_SAMPLES - 1));
      return `${x.toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`;
    })
    .join(" ");
}

/** All chains; `act(name, verb)` pauses and resumes one. */
export class Chains {
  constructor(parent, act) {
    this.act = act;
    this.rows = new Rows(
      parent,
      (chain) => this.make(chain),
      (node, chain) => this.cards.get(node).update(chain, this.admin, this.down),
    );
    this.cards = new WeakMap();
  }

  /** `down` has the names of what is not ok, as /ready has them. */
  show(chains, admin, down) {
    this.admin = admin;
    this.down = down;
    this.rows.show(chains, (chain) => chain.name);
  }

  make(chain) {
    const card = new Card(chain.name, this.act);
    this.cards.set(card.node, card);
    return card.node;
  }
}

class Card {
  constructor(name, act) {
    this.samples = new Map();
    this.verb = "";
    this.state = el("span", { class: "badge" });
    this.button = el("button", { type: "button", click: () => act(name, this.verb) });
    this.flow = el("ol", { class: "flow" });
    this.numbers = NUMBERS.map(() => el("dd"));
    this.line = svg("polyline", { class: "line" });
    this.chart = svg("svg", {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
    }, this.line);
    const tiles = NUMBERS.map(([, label], index) =>
      el("div", {}, el("dt", {}, label), this.numbers[index]),
    );
    this.node = el("article", { class: "panel chain" },
      el("div", { class: "bar" }, el("h3", {}, name), this.state, this.button),
      this.flow,
      el("dl", { class: "tiles" }, ...tiles, el("div", { class: "chart" }, this.chart)),
    );
    this.name = name;
  }

  update(chain, admin, down) {
    const [text, style] = stateOf(chain);
    say(this.state, text);
    setClass(this.state, style);
    this.verb = chain.paused ? "resume" : "pause";
    say(this.button, chain.paused ? "Resume" : "Pause");
    this.button.setAttribute("aria-label", `${this.button.textContent} chain ${this.name}`);
    this.button.hidden = !admin || !chain.enabled;
    this.reflow(chain, down);
    NUMBERS.forEach(([member, , shown], index) => say(this.numbers[index], shown(chain[member])));
    setClass(this.numbers[5], chain.dead ? "bad" : "");
    setClass(this.numbers[4], chain.retrying ? "warn" : "");
    this.sample(chain);
  }

  reflow(chain, down) {
    const shape = JSON.stringify([
      chain.ingress_lists, chain.links, chain.storages, chain.egress_lists, chain.lists,
      [...down],
    ]);
    if (shape === this.shape) return;
    this.shape = shape;
    const lists = chain.ingress_lists.map((name) => box(name, waiting(chain.lists[name])));
    const links = chain.links.map(({ name, module }) =>
      stage("link", [box(name, module, down.has(`link:${name}`))]),
    );
    const storages = chain.storages.map((name) => box(name, "", down.has(`storage:${name}`)));
    this.flow.replaceChildren(
      stage(lists.length ? "takes from" : "takes from no list", lists),
      ...links,
      ...(storages.length ? [stage("stores in", storages)] : []),
      ...(chain.egress_lists.length
        ? [stage("hands on by", chain.egress_lists.map((name) => box(name, "")))]
        : []),
    );
  }

  /** The rate is that of one replica, and another one may answer next. */
  sample(chain) {
    const samples = this.samples.get(chain.replica) ?? [];
    if (this.samples.size > 16) this.samples.clear();
    this.samples.set(chain.replica, [...samples, chain.rate].slice(-MOST_SAMPLES));
    const shown = this.samples.get(chain.replica);
    this.line.setAttribute("points", points(shown));
    const most = rough(Math.max(...shown));
    this.chart.setAttribute("aria-label", `now ${rough(chain.rate)} a second, at most ${most}`);
  }
}

function waiting(list) {
  if (list === undefined) return "";
  const parts = [`${count(list.depth)} waiting`];
  if (list.dead) parts.push(`${count(list.dead)} dead`);
  return parts.join(", ");
}

function stage(label, boxes) {
  return el("li", {}, el("span", { class: "stage" }, label), ...boxes);
}

function box(name, more, isDown = false) {
  return el("div", { class: isDown ? "box bad" : "box" },
    el("b", {}, name),
    more ? el("small", {}, more) : null,
    isDown ? el("small", {}, "down") : null,
  );
}
