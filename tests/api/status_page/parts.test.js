// The parts of the page that need no server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { points, stateOf } from "./chains.js";
import { Rows, duration, el, moment } from "./dom.js";
import { Parser } from "./events.js";
import { FakeElement, fakeDocument, fakeStorage } from "./fake_dom.js";
import { EventList } from "./panels.js";
import { BadKey, Refused, Server, pause } from "./server.js";
import { timeline } from "./timeline.js";

const HOSTILE = "<img src=x onerror=alert(1)>&quot;'\"</script>\u202e";
fakeDocument('<html data-key-header="x-key">');

test("events come whole from whatever pieces, with CR and comments", () => {
  const text = ": hi\nretry: 1500\n\nevent: accepted\r\nid: 7-1\r\ndata: {\"a\":\ndata: 1}\r\n\r\n";
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < text.length; at += size) {
      found.push(...parser.feed(text.slice(at, at + size)));
    }
    assert.deepEqual(found, [{ name: "accepted", data: '{"a":\n1}' }]);
    assert.equal(parser.retry, 1500);
  }
});

test("a line without end does not fill the memory", () => {
  const parser = new Parser();
  const piece = "x".repeat(1 << 18);
  assert.throws(() => {
    for (let number = 0; number < 8; number += 1) [...parser.feed(piece)];
  }, /without end/);
});

test("pauses grow, are bounded and never shorter than the server says", () => {
  const at = (failures, error) => pause(failures, error, 2000, 0.5);
  assert.deepEqual([0, 1, 2, 3].map((n) => at(n)), [2000, 4000, 8000, 16000]);
  assert.equal(at(99), 60000);
  assert.equal(at(1, new Refused(429, "", 30000)), 30000);
});

test("the key goes to the storage and into the header, and nowhere without a need", () => {
  const storage = fakeStorage();
  const server = new Server("http://h/", "x-key", storage);
  assert.equal(server.headers(true).has("x-key"), false);
  server.key = "secret";
  assert.deepEqual([...storage.kept.values()], ["secret"]);
  assert.equal(server.headers(true).get("x-key"), "secret");
  assert.equal(server.headers(false).has("x-key"), false);
  server.key = "schlüssel€";
  assert.throws(() => server.headers(true), BadKey);
  server.key = "";
  assert.equal(storage.kept.size, 0);
});

test("hostile texts stay texts", () => {
  const record = {
    type: HOSTILE, at: 5, uuid: HOSTILE, chain: HOSTILE, list: HOSTILE, lists: [HOSTILE],
    stage: HOSTILE, error: HOSTILE, error_type: HOSTILE, owner: HOSTILE, replica: HOSTILE,
    links: [{ name: HOSTILE, ms: 1, outcome: HOSTILE }], storages: [{ name: HOSTILE, ms: 2 }],
  };
  const parent = el("ol", {}, ...timeline([record, record]));
  const tags = new Set([...parent.all()].map((node) => node.tag));
  assert.ok(!tags.has("img") && !tags.has("script"));
  assert.ok(parent.textContent.split(HOSTILE).length > 20);
  for (const node of parent.all()) {
    for (const value of node.attributes.values()) assert.ok(!value.includes("<"));
  }
});

test("the list of events is bounded, newest first, and can be held", () => {
  const parent = new FakeElement("ol");
  const list = new EventList(parent, () => {});
  for (let at = 1; at <= 5000; at += 1) list.add("accepted", { uuid: `u${at}`, at });
  list.draw();
  assert.equal(parent.childNodes.length, 100);
  assert.ok(parent.firstChild.textContent.includes("u5000"));
  list.hold(true);
  list.add("accepted", { uuid: "later", at: 1 });
  list.draw();
  assert.ok(!parent.textContent.includes("later"));
  list.hold(false);
  assert.ok(parent.firstChild.textContent.includes("later"));
});

test("rows keep their nodes, in the order of the items", () => {
  const parent = new FakeElement("ol");
  const rows = new Rows(parent, (it) => el("li", {}, it));
  const shown = (text) => {
    rows.show([...text], (it) => it);
    return parent.textContent;
  };
  assert.equal(shown("bcd"), "bcd");
  const kept = [...parent.childNodes];
  assert.equal(shown("abcd"), "abcd");
  assert.deepEqual(parent.childNodes.slice(1), kept);
  for (const order of ["dcba", "ca", "", "xay", "yax", "a"]) assert.equal(shown(order), order);
});

test("what a chain is in", () => {
  const chain = { enabled: true, held: null, paused: false };
  assert.equal(stateOf(chain)[0], "running");
  assert.equal(stateOf({ ...chain, paused: true })[0], "paused");
  assert.equal(stateOf({ ...chain, held: "why", paused: true })[0], "held: why");
  assert.equal(stateOf({ ...chain, enabled: false })[0], "disabled");
});

test("numbers and lines", () => {
  assert.equal(points([0, 2, 1]), "148.0,30.0 149.0,2.0 150.0,16.0");
  assert.equal(points([0]), "150.0,30.0");
  assert.equal(duration(0.25), "250 ms");
  assert.equal(duration(86400 * 3), "3 d");
  assert.equal(moment("no date"), "");
});
