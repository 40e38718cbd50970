// Requests to the API, with the key, and how long to wait when it cannot answer.

const STORED = "vconflow.key";
const PATIENCE_MS = 15_000;
const LONGEST_MS = 60_000;

/** The server answered, but not with what was asked for. `retryAfter` is in milliseconds. */
export class Refused extends Error {
  constructor(status, detail, retryAfter) {
    super(detail || `the server answered ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get passes() {
    return this.status === 429 || this.status >= 500;
  }
}

/** There was no answer. */
export class Away extends Error {}

/** The key can be no header. */
export class BadKey extends Error {}

export class Server {
  /** `base` is the URL below which the routes lie; `storage` keeps the key for this tab. */
  constructor(base, header, storage) {
    this.base = base;
    this.header = header;
    this.storage = storage;
    this.build = "";
  }

  get key() {
    return this.storage.getItem(STORED) ?? "";
  }

  set key(key) {
    if (key) this.storage.setItem(STORED, key);
    else this.storage.removeItem(STORED);
  }

  /** The answer, whatever its status. Throws Away. */
  async ask(path, { method = "GET", body, signal, key = true } = {}) {
    const options = { method, cache: "no-store", redirect: "error", signal };
    options.headers = this.headers(key, body);
    if (body !== undefined) options.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(new URL(path, this.base), options);
    } catch (error) {
      throw new Away(error.name === "TimeoutError" ? "no answer in time" : "no connection");
    }
    this.build = answer.headers.get("x-vcon-server-version") ?? this.build;
    return answer;
  }

  headers(withKey, body) {
    const headers = new Headers(body === undefined ? {} : { "content-type": "application/json" });
    if (withKey && this.key) {
      try {
        headers.set(this.header, this.key);
      } catch {
        throw new BadKey("This key has characters that cannot be sent.");
      }
    }
    return headers;
  }

  /** The JSON of the answer, null without any. Throws Refused, Away. */
  async json(path, options = {}) {
    const answer = await this.ask(path, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
    if (!answer.ok) throw await refusal(answer);
    return answer.status === 204 ? null : await read(answer);
  }

  /** /ready says as much with 503 as with 200. */
  async ready() {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await this.ask("ready", { signal, key: false });
    if (!answer.ok && answer.status !== 503) throw await refusal(answer);
    const found = await read(answer);
    if (!Array.isArray(found?.dependencies)) throw await refusal(answer, found);
    return found;
  }
}

async function read(answer) {
  try {
    return await answer.json();
  } catch {
    throw new Away("the answer broke off or is not from vconflow");
  }
}

/** What an answer that is no success says. */
export async function refusal(answer, found) {
  const body = found ?? (await answer.json().catch(() => null));
  const detail = typeof body?.detail === "string" ? body.detail : body?.detail?.[0]?.msg;
  const seconds = Number(answer.headers.get("retry-after") ?? 0);
  return new Refused(answer.status, detail ?? "", Number.isFinite(seconds) ? seconds * 1000 : 0);
}

/** After how many milliseconds to ask again when it failed `failures` times in a row. */
export function pause(failures, error, usual, random = Math.random()) {
  const grown = Math.min(LONGEST_MS, usual * 2 ** Math.min(failures, 10));
  return Math.max(error?.retryAfter ?? 0, grown * (0.75 + random / 2));
}
