// The page: what is asked when, and what comes of it.

import { Actions } from "./actions.js";
import { Chains } from "./chains.js";
import { moment, say, setClass } from "./dom.js";
import { Events } from "./events.js";
import { EventList, dependencies, followers, letters, showHealth } from "./panels.js";
import { Away, BadKey, Refused, Server, pause } from "./server.js";
import { timeline } from "./timeline.js";

const USUAL_MS = 2000;
const SELDOM = 5; // rounds
const VERSIONS = 15;
const MOST_LETTERS = 20;

export function start(document, base, storage) {
  const server = new Server(base, document.documentElement.dataset.keyHeader, storage);
  const page = new Page(document, server);
  page.begin();
  return page;
}

class Page {
  constructor(document, server) {
    this.document = document;
    this.server = server;
    this.round = 0;
    this.failures = 0;
    this.dead = -1;
    this.admin = null; // not known yet
    this.refused = false;
    this.timer = null;
    this.asking = false;
    this.again = false;
    const at = (id) => document.getElementById(id);
    this.at = at;
    const look = (uuid) => this.look(uuid);
    const actions = new Actions(at, server, () => this.refresh());
    this.dependencies = dependencies(at("dependencies"));
    this.chains = new Chains(at("chains"), (name, verb) => actions.switch(name, verb));
    const isAdmin = () => this.admin === true;
    this.letters = letters(at("letters"), look, (it) => actions.replay(it), isAdmin);
    this.followers = followers(at("followers"));
    this.list = new EventList(at("events"), look);
    this.events = new Events(
      server,
      (name, data) => this.list.add(name, data),
      (state, text) => this.eventState(state, text),
    );
  }

  begin() {
    const on = (id, event, act) => this.at(id).addEventListener(event, act);
    on("key-form", "submit", (event) => {
      event.preventDefault();
      this.useKey(this.at("key").value.trim());
    });
    on("forget", "click", () => this.useKey(""));
    on("vcon-form", "submit", (event) => {
      event.preventDefault();
      this.look(this.at("uuid").value.trim());
    });
    on("events-hold", "click", () => {
      this.list.hold(!this.list.held);
      this.at("events-hold").setAttribute("aria-pressed", String(this.list.held));
    });
    this.document.addEventListener("visibilitychange", () => this.seen());
    this.seen();
  }

  get hidden() {
    return this.document.visibilityState === "hidden";
  }

  seen() {
    clearTimeout(this.timer);
    if (this.hidden) this.events.stop("not while the page is hidden");
    else this.poll();
  }

  useKey(key) {
    this.server.key = key;
    this.at("key").value = "";
    this.admin = null;
    this.round = 0;
    this.failures = 0;
    this.refused = false;
    this.events.stop();
    if (!key) this.at("data").hidden = true;
    this.poll();
  }

  refresh() {
    this.round = 0;
    this.poll();
  }

  /** Ask everything once, and again later; never twice at a time. */
  async poll() {
    clearTimeout(this.timer);
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.again = false;
    let wait = USUAL_MS;
    const { key } = this.server;
    try {
      await this.ask();
      this.failures = 0;
      this.at("away").hidden = true;
    } catch (error) {
      // What was refused to another key than the one that was typed in meanwhile does not matter.
      wait = key === this.server.key ? this.failed(error) : 0;
    } finally {
      this.asking = false;
    }
    if (this.again) wait = 0;
    if (!this.hidden) this.timer = setTimeout(() => this.poll(), wait);
  }

  async ask() {
    const ready = await this.server.ready();
    this.health(ready.status);
    say(this.at("build"), this.server.build);
    this.dependencies.show(ready.dependencies, (it) => it.name);
    if (this.refused) return;
    const round = this.round++; // first of all: a refresh meanwhile counts for the next one
    const { key } = this.server;
    const { chains } = await this.server.json("chains");
    if (key !== this.server.key) return; // another one was typed in, or it was forgotten
    this.welcome();
    const down = new Set(ready.dependencies.filter((it) => !it.ok).map((it) => it.name));
    const dead = chains.reduce((sum, chain) => sum + chain.dead, 0);
    const seldom = round % SELDOM === 0;
    if (this.admin === null || (this.admin && round % VERSIONS === 0)) await this.versions();
    this.chains.show(chains, this.admin === true, down);
    const replica = chains[0]?.replica ?? "";
    say(this.at("replica"), replica && `* of the replica ${replica} alone, which answers here`);
    if (seldom || dead !== this.dead) await this.showLetters();
    this.dead = dead;
    if (seldom) await this.showFollowers();
  }

  health(status) {
    showHealth(this.at("health"), status);
    const title = `${status} · vconflow`;
    if (this.document.title !== title) this.document.title = title;
  }

  /** The key is right, or none is needed. */
  welcome() {
    this.at("key-form").hidden = true;
    this.at("data").hidden = false;
    this.at("forget").hidden = !this.server.key;
    if (!this.hidden) this.events.start();
  }

  async versions() {
    try {
      const versions = await this.server.json("config/versions");
      this.admin = true;
      const now = versions.find((it) => it.current);
      say(this.at("config"), now
        ? `Version ${now.version} by ${now.by}, ${moment(now.at * 1000)} ${now.comment}`
        : "As the file has it: no version is kept yet.");
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 403) throw error;
      this.admin = false;
      say(this.at("config"), "Only a key with the role admin may see versions and change anything.");
    }
  }

  async showLetters() {
    const found = await this.server.json(`dead-letters/newest?limit=${MOST_LETTERS}`);
    this.letters.show(found.dead_letters, (it) => it.id);
    const shown = found.dead_letters.length;
    const total = found.total > shown ? `newest ${shown} of ${found.total}` : String(found.total);
    say(this.at("letters-total"), total);
    setClass(this.at("letters-total"), found.total ? "badge bad" : "badge good");
    this.at("letters-none").hidden = found.total > 0;
  }

  async showFollowers() {
    const found = (await this.server.json("followers")).followers;
    this.followers.show(found, (it) => it.name);
    this.at("followers-none").hidden = found.length > 0;
  }

  /** Say what is wrong, and after how many milliseconds to ask again. */
  failed(error) {
    if (error instanceof BadKey || (error instanceof Refused && error.status === 403)) {
      this.askForKey(error);
      return USUAL_MS;
    }
    this.failures += 1;
    this.round = 0;
    const wait = pause(this.failures, error, USUAL_MS);
    const what = error instanceof Away
      ? `The server is away: ${error.message}.`
      : `The server cannot answer: ${error.message}.`;
    const seconds = Math.ceil(wait / 1000);
    say(this.at("away"), `${what} What is shown is old. Asking again in ${seconds} s.`);
    this.at("away").hidden = false;
    if (error instanceof Away) this.health("away");
    return wait;
  }

  /** A wrong key is not sent again: the server counts them. */
  askForKey(error) {
    const tried = this.server.key !== "";
    this.server.key = "";
    this.refused = true;
    this.events.stop();
    this.at("data").hidden = true;
    this.at("forget").hidden = true;
    this.at("away").hidden = true;
    if (tried) say(this.at("key-said"), error.message);
    if (this.at("key-form").hidden) {
      this.at("key-form").hidden = false;
      this.at("key").focus();
    }
  }

  eventState(state, text) {
    say(this.at("events-state"), text);
    setClass(this.at("events-state"), `badge ${state}`);
  }

  async look(uuid) {
    const said = this.at("vcon-said");
    this.at("uuid").value = uuid;
    this.looked = uuid;
    let records = [];
    let text = "Nothing is remembered of it any more.";
    try {
      const found = await this.server.json(`vcon/${encodeURIComponent(uuid)}/history`);
      records = found.events;
      if (records.length) text = `${records.length} events, the oldest first`;
    } catch (error) {
      text = error.message;
    }
    if (this.looked !== uuid) return; // another one was asked for meanwhile
    say(said, text);
    this.at("timeline").replaceChildren(...timeline(records));
    this.at("vcon-title").scrollIntoView({ block: "nearest" });
  }
}
