// The stream of events, by fetch: an EventSource cannot send the key.

import { pause, refusal } from "./server.js";

const SILENCE_MS = 45_000; // the server says something every 15 s
const MOST_CHARACTERS = 1 << 20;

/** Turns the text of a stream, in whatever pieces it comes, into `{name, data}`. */
export class Parser {
  constructor() {
    this.rest = "";
    this.name = "";
    this.data = [];
    this.retry = 3000;
  }

  *feed(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    if (this.rest.length > MOST_CHARACTERS) throw new Error("a line without end");
    for (const line of lines) {
      const event = this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (event !== null) yield event;
    }
  }

  line(line) {
    if (line === "") {
      const event = this.data.length ? { name: this.name, data: this.data.join("\n") } : null;
      this.name = "";
      this.data = [];
      return event;
    }
    const at = line.indexOf(":");
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value);
    else if (field === "retry" && /^\d{1,6}$/.test(value)) this.retry = Number(value);
    return null;
  }
}

/** Listens from `start` to `stop`, and again after every end. */
export class Events {
  /** `heard(name, data)` gets every event, `told(state, text)` how the stream is. */
  constructor(server, heard, told) {
    this.server = server;
    this.heard = heard;
    this.told = told;
    this.run = null;
  }

  start() {
    if (this.run !== null) return;
    this.run = new AbortController();
    this.follow(this.run.signal);
  }

  stop(text = "stopped") {
    if (this.run === null) return;
    this.run.abort();
    this.run = null;
    this.told("waiting", text);
  }

  async follow(stopped) {
    let failures = 0;
    while (!stopped.aborted) {
      this.told("waiting", "connecting");
      let problem = null;
      try {
        await this.listen(stopped, () => (failures = 0));
      } catch (error) {
        problem = error;
      }
      if (stopped.aborted) return;
      if (problem?.status === 403) {
        this.run = null;
        this.told("bad", "this key may not");
        return;
      }
      const ms = pause(failures++, problem, this.retry ?? 3000);
      const why = problem === null ? this.ended : problem.message;
      this.told("bad", `${why}: again in ${Math.ceil(ms / 1000)} s`);
      await asleep(ms, stopped);
    }
  }

  async listen(stopped, opened) {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENCE_MS);
    const quit = () => silent.abort();
    stopped.addEventListener("abort", quit);
    try {
      const answer = await this.server.ask("events", { signal: silent.signal });
      if (!answer.ok) throw await refusal(answer);
      opened();
      this.ended = "the stream broke off";
      this.told("good", "live");
      const parser = new Parser();
      const decoder = new TextDecoder();
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stopped.aborted) return;
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE_MS);
        for (const event of parser.feed(decoder.decode(value, { stream: true }))) this.take(event);
        this.retry = parser.retry;
      }
    } finally {
      clearTimeout(timer);
      stopped.removeEventListener("abort", quit);
      silent.abort();
    }
  }

  take({ name, data }) {
    const found = JSON.parse(data);
    if (name === "dropped") this.ended = `dropped, too slow: ${found.missed} missed`;
    if (name === "end") this.ended = `the server ended it (${found.reason})`;
    this.heard(name, found);
  }
}

function asleep(ms, stopped) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stopped.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
