// The panels beside the chains: dependencies, dead letters, events, followers.

import { Rows, count, duration, el, moment, say, setClass } from "./dom.js";
import { colour, failure, words } from "./timeline.js";

const MOST_EVENTS = 100;
const DRAWN_MS = 250;

const HEALTH = { ready: "good", degraded: "warn", unavailable: "bad", stopping: "bad" };

export function dependencies(parent) {
  return new Rows(
    parent,
    (it) => el("li", {}, el("b", {}, it.name), " ", el("span")),
    (node, it) => {
      setClass(node, it.ok ? "chip good" : it.required ? "chip bad" : "chip warn");
      const state = it.ok ? (it.ms ? duration(it.ms / 1000) : "ok") : it.error || "down";
      say(node.lastChild, state);
    },
  );
}

export function showHealth(node, status) {
  say(node, status);
  setClass(node, `badge ${HEALTH[status] ?? "bad"}`);
}

/** `look(uuid)` shows a history, `replay(letter)` puts it back to work. */
export function letters(parent, look, replay, isAdmin) {
  return new Rows(
    parent,
    (letter) => {
      const again = el("button", { type: "button", click: () => replay(letter) }, "Replay");
      again.setAttribute("aria-label", `Replay ${letter.uuid} at ${letter.stage}`);
      return el("li", {},
        el("div", { class: "bar" },
          uuidButton(letter.uuid, look),
          el("time", {}, moment(letter.last_failure ?? letter.enqueued)),
          again,
        ),
        el("p", {}, `chain ${letter.chain} · list ${letter.list} · at ${letter.stage}`,
          letter.attempts > 1 ? ` · ${count(letter.attempts)} attempts` : ""),
        el("p", { class: "error" }, failure(letter)),
      );
    },
    (node) => {
      node.firstChild.lastChild.hidden = !isAdmin();
    },
  );
}

export function followers(parent) {
  return new Rows(
    parent,
    () => el("li", {}, el("b"), " ", el("span"), el("p", { class: "error" })),
    (node, it) => {
      const [name, , state, error] = node.childNodes;
      say(name, it.name);
      const where = `${it.egress_list} → ${it.follower_ingress_list}`;
      const parked = it.parked ? ` · ${count(it.parked)} parked` : "";
      const who = it.here ? "" : " · by another replica";
      say(state, `${where} · ${count(it.waiting)} waiting${parked}${who}`);
      say(error, it.error);
    },
  );
}

/** The newest events first; drawn a few times a second however many come. */
export class EventList {
  constructor(parent, look) {
    this.rows = new Rows(parent, (event) => eventRow(event, look));
    this.events = [];
    this.number = 0;
    this.skipped = 0;
    this.held = false;
    this.timer = null;
  }

  add(name, data) {
    this.number += 1;
    this.events.unshift({ number: this.number, name, data, at: data.at ?? Date.now() });
    // While they are held, those on the screen stay.
    if (this.events.length > MOST_EVENTS) this.events.length = MOST_EVENTS;
    this.timer ??= setTimeout(() => this.draw(), DRAWN_MS);
  }

  hold(held) {
    this.held = held;
    if (!held) this.draw();
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.held) this.rows.show(this.events, (event) => event.number);
  }
}

function eventRow({ name, data, at }, look) {
  const error = failure(data);
  const missed = data.missed === undefined ? "" : `${count(data.missed)} events missed`;
  return el("li", { class: colour(name) },
    el("div", { class: "bar" },
      el("b", {}, name),
      data.uuid ? uuidButton(data.uuid, look) : null,
      el("time", {}, moment(at)),
    ),
    el("p", {}, words(data) || missed || data.reason || ""),
    error ? el("p", { class: "error" }, error) : null,
  );
}

function uuidButton(uuid, look) {
  const button = el("button", { type: "button", class: "uuid", click: () => look(uuid) }, uuid);
  button.setAttribute("aria-label", `Show the history of ${uuid}`);
  return button;
}
