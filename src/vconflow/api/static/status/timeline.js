// What happened to one vCon: records of /vcon/{uuid}/history, oldest first.

import { duration, el, moment, svg } from "./dom.js";

const BAD = new Set(["dead-lettered", "failed", "dropped", "gap"]);
const GOOD = new Set(["completed", "handed-out"]);

export function colour(kind) {
  if (BAD.has(kind)) return "bad";
  return GOOD.has(kind) ? "good" : "";
}

/** What a record says besides its kind and time, in words. */
export function words(record) {
  const parts = [];
  if (record.chain) parts.push(`chain ${record.chain}`);
  if (record.list) parts.push(`list ${record.list}`);
  if (record.lists?.length) parts.push(`to ${record.lists.join(", ")}`);
  if (record.stage) parts.push(`at ${record.stage}`);
  if (record.attempts > 1) parts.push(`attempt ${record.attempts}`);
  if (record.source) parts.push(`by ${record.source}`);
  if (record.owner) parts.push(`key ${record.owner}`);
  if (record.replica) parts.push(`on ${record.replica}`);
  return parts.join(" · ");
}

export function failure(record) {
  return [record.error_type, record.error].filter(Boolean).join(": ");
}

export function timeline(records) {
  let before = 0;
  return records.map((record) => {
    const since = before && record.at > before ? `+${duration((record.at - before) / 1000)}` : "";
    before = record.at;
    const error = failure(record);
    return el("li", { class: colour(record.type) },
      el("b", {}, record.type), " ",
      el("time", {}, moment(record.at)), " ",
      el("span", { class: "quiet" }, since),
      el("p", {}, words(record)),
      error ? el("p", { class: "error" }, error) : null,
      ...steps("link", record.links),
      ...steps("storage", record.storages),
    );
  });
}

/** Links run one after the other and storages beside each other: their bars say so. */
function steps(kind, times = []) {
  if (!times.length) return [];
  const sum = times.reduce((total, step) => total + step.ms, 0);
  const most = Math.max(...times.map((step) => step.ms));
  const width = (kind === "link" ? sum : most) || 1;
  let at = 0;
  const rows = times.map((step) => {
    const bar = svg("rect", {
      x: kind === "link" ? (at / width) * 100 : 0,
      width: Math.max(1, (step.ms / width) * 100),
      height: 8,
      class: ["retryable", "permanent", "timeout", "failed"].includes(step.outcome) ? "bad" : "",
    });
    at += step.ms;
    const outcome = step.outcome && step.outcome !== "continue" ? `, ${step.outcome}` : "";
    const text = `${kind} ${step.name}: ${duration(step.ms / 1000)}${outcome}`;
    return el("li", {},
      svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, bar),
      el("span", {}, text),
    );
  });
  return [el("ul", { class: "steps" }, ...rows)];
}
