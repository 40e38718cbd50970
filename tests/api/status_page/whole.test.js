// The whole page against a real server, whose URL and key are in the environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";

import { start } from "./app.js";
import { fakeDocument, fakeStorage, until } from "./fake_dom.js";

const { BASE, OPEN, KEY, READER, HOSTILE, UUID } = process.env;
const pages = [];
const changes = [];

const plain = globalThis.fetch;
globalThis.fetch = (url, options) => {
  if (options.method !== "GET") changes.push(`${url}`);
  return plain(url, options);
};

afterEach(async () => {
  for (const page of pages.splice(0)) await close(page);
});

function open(base = BASE) {
  const document = fakeDocument(readFileSync("page.html", "utf-8"));
  const storage = fakeStorage();
  const page = start(document, new URL(base), storage);
  const at = (id) => document.getElementById(id);
  const enter = (key) => {
    at("key").value = key;
    at("key-form").dispatch("submit");
  };
  pages.push({ page, document });
  return { page, at, storage, enter, document };
}

async function close({ page, document }) {
  document.visibilityState = "hidden";
  document.dispatch("visibilitychange");
  await until(() => !page.asking, "the end of the round");
}

test("everything is shown and can be done with the key of an admin", async () => {
  const it = open();
  const { at, storage, enter, document } = it;
  await until(() => !at("key-form").hidden, "the question for the key");
  assert.equal(at("health").textContent, "ready");
  assert.ok(at("data").hidden);

  enter("wrong");
  await until(() => at("key-said").textContent === "Invalid API Key", "the refusal");
  assert.equal(storage.kept.size, 0);

  enter(KEY);
  await until(() => at("letters").textContent.includes("it broke"), "the dead letters");
  assert.deepEqual([...storage.kept.values()], [KEY]);
  assert.ok(at("key-form").hidden && !at("data").hidden && !at("forget").hidden);
  await until(() => at("followers").textContent.includes("upstream"), "the followers");
  assert.ok(at("chains").find("h3", HOSTILE));
  assert.equal(at("letters-total").textContent, "newest 20 of 25");

  const pause = () => at("chains").find("article", HOSTILE).find("button");
  assert.equal(pause().textContent, "Pause");
  pause().click();
  assert.ok(at("ask").open && at("ask-text").textContent.includes(HOSTILE));
  at("ask-no").click();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(changes, []);
  pause().click();
  at("ask-yes").click();
  await until(() => pause().textContent === "Resume", "the chain to be paused");
  assert.ok(at("chains").find("article", HOSTILE).textContent.includes("paused"));

  at("letters").find("button", "Replay").click();
  at("ask-yes").click();
  await until(() => at("letters-total").textContent.endsWith("of 24"), "the replay");

  await until(() => at("events-state").textContent === "live", "the stream");
  await until(() => at("events").textContent.includes(HOSTILE), "an event");

  at("uuid").value = UUID;
  at("vcon-form").dispatch("submit");
  await until(() => at("timeline").textContent.includes("link mark: 3 ms"), "the history");

  const made = document.everything().flatMap((node) => [...node.all()]);
  assert.ok(!made.some((node) => ["img", "script", "iframe", "a"].includes(node.tag)));
  at("forget").click();
  await until(() => !at("key-form").hidden, "the question for the key");
  assert.equal(storage.kept.size, 0);
});

test("without authentication it works at once, below the path of a proxy too", async () => {
  const it = open(OPEN);
  await until(() => it.at("chains").find("article", "main"), "the chains");
  await until(() => it.at("events-state").textContent === "live", "the stream");
  assert.ok(it.at("key-form").hidden && it.at("forget").hidden);
  assert.equal(it.document.title, "degraded · vconflow");
  assert.ok(it.at("dependencies").textContent.includes("storage:pg it is down"));
  const box = [...it.at("chains").find("article", "main").all()].find(
    (node) => node.getAttribute("class") === "box bad",
  );
  assert.ok(box.textContent.startsWith("pg"));
});

test("what changed in the middle of a round is asked in the next one", async () => {
  const it = open(OPEN);
  await until(() => it.at("followers").textContent.includes("upstream"), "the first round");
  await close(it);
  const real = globalThis.fetch;
  const asked = [];
  let release;
  const gate = new Promise((resolve) => (release = resolve));
  globalThis.fetch = async (url, options) => {
    const name = `${url}`.split("/").pop();
    asked.push(name);
    if (name === "followers") await gate;
    return real(url, options);
  };
  try {
    it.page.round = 0;
    it.document.visibilityState = "visible";
    it.document.dispatch("visibilitychange");
    await until(() => asked.includes("followers"), "the middle of a round");
    it.page.refresh();
    release();
    await until(() => asked.filter((name) => name === "ready").length === 3, "two more rounds");
    assert.equal(asked.filter((name) => name === "followers").length, 2);
  } finally {
    globalThis.fetch = real;
  }
});

test("a key that may only read sees no buttons", async () => {
  const it = open();
  await until(() => !it.at("key-form").hidden, "the question for the key");
  it.enter(READER);
  await until(() => it.at("letters").childNodes.length > 0, "the dead letters");
  const all = [...it.at("chains").all(), ...it.at("letters").all()];
  const buttons = all.filter((node) => node.tag === "button");
  assert.ok(buttons.length > 20);
  for (const button of buttons) {
    assert.ok(button.hidden || button.getAttribute("class") === "uuid", button.textContent);
  }
  assert.ok(it.at("config").textContent.includes("admin"));
});

test("a hidden page asks nothing, and goes on when it is seen", async () => {
  const it = open();
  await until(() => !it.at("key-form").hidden, "the question for the key");
  await close(it);
  const real = globalThis.fetch;
  let asked = 0;
  globalThis.fetch = (...all) => {
    asked += 1;
    return real(...all);
  };
  try {
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(asked, 0);
    it.document.visibilityState = "visible";
    it.document.dispatch("visibilitychange");
    await until(() => asked > 0, "a request");
  } finally {
    globalThis.fetch = real;
  }
});

test("a server that is away or says 429 is asked more seldom, and the page says so", async () => {
  const it = open();
  await until(() => !it.at("key-form").hidden, "the question for the key");
  await close(it);
  const real = globalThis.fetch;
  const again = () => {
    it.document.visibilityState = "visible";
    it.document.dispatch("visibilitychange");
  };
  try {
    globalThis.fetch = async () => { throw new TypeError("fetch failed"); };
    again();
    await until(() => it.at("health").textContent === "away", "the notice");
    assert.ok(!it.at("away").hidden && it.at("away").textContent.includes("no connection"));
    globalThis.fetch = async () =>
      new Response('{"detail": "too many"}', { status: 429, headers: { "retry-after": "40" } });
    again();
    await until(() => it.at("away").textContent.includes("in 40 s"), "the pause");
    globalThis.fetch = real;
    again();
    await until(() => it.at("away").hidden, "the end of the notice");
  } finally {
    globalThis.fetch = real;
  }
});
