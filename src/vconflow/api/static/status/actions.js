// What an admin can change, after a question.

import { say } from "./dom.js";

export class Actions {
  /** `at(id)` is an element of the page; `changed()` is called after every attempt. */
  constructor(at, server, changed) {
    this.at = at;
    this.server = server;
    this.changed = changed;
  }

  async switch(name, verb) {
    const what = verb === "pause"
      ? `Pause the chain “${name}” on every replica? Its lists go on accepting.`
      : `Resume the chain “${name}” on every replica?`;
    if (!(await this.sure(what, verb === "pause" ? "Pause" : "Resume"))) return;
    await this.act(
      () => this.server.json(`chains/${encodeURIComponent(name)}/${verb}`, { method: "POST" }),
      () => (verb === "pause" ? `“${name}” is paused.` : `“${name}” runs again.`),
    );
  }

  async replay(letter) {
    const where = `the list “${letter.list}”? It goes on at ${letter.stage}.`;
    if (!(await this.sure(`Put ${letter.uuid} back on ${where}`, "Replay"))) return;
    const body = { ids: [letter.id] };
    await this.act(
      () => this.server.json("dead-letters/replay", { method: "POST", body }),
      (answer) => `${letter.uuid} ${answer.replayed ? "is replayed" : "was no dead letter any more"}.`,
    );
  }

  async act(change, told) {
    let text;
    try {
      text = told(await change());
    } catch (error) {
      text = `That did not work: ${error.message}`;
    }
    say(this.at("said"), text);
    this.at("said").hidden = false;
    this.changed();
  }

  sure(question, verb) {
    const dialog = this.at("ask");
    say(this.at("ask-text"), question);
    say(this.at("ask-yes"), verb);
    return new Promise((resolve) => {
      let agreed = false;
      const yes = () => {
        agreed = true;
        dialog.close();
      };
      const no = () => dialog.close();
      this.at("ask-yes").addEventListener("click", yes);
      this.at("ask-no").addEventListener("click", no);
      const closed = () => {
        this.at("ask-yes").removeEventListener("click", yes);
        this.at("ask-no").removeEventListener("click", no);
        resolve(agreed);
      };
      dialog.addEventListener("close", closed, { once: true });
      dialog.showModal();
    });
  }
}
