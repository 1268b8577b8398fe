// Know how long the notebook lasts, and whether it has ended, as soon as that can be known.
// Only the service is asked, never the server, whose idle time goes on.

const PERIOD = 60; // seconds between two questions, while somebody looks
const SOONEST = 30; // seconds between them at least, if nothing has happened
const REST = 2; // seconds between them in any case
const RECENT = 5; // seconds in which a request may come from what a person has done
const DEADLINE = 20; // seconds for one answer
const FIRST = 600; // seconds before the end for the first warning
const LAST = 120; // seconds before the end for the second
const ENDED = 'server_ended';

const clock = () => performance.now() / 1000;

export class Life {
  server = null; // the last answer
  ahead = 0; // seconds that the clock here is ahead of the service's
  farewell = ''; // what is said of the end, once it is certain
  unknown = false; // whether the service is another one than ours, or an older one

  #notebook;
  #channel;
  #patience = 0; // seconds: the most that were left before it would be idle
  #misses = 0; // times in a row that there was no such server
  #asked = -Infinity; // when we asked last
  #asking = null; // the latest question
  #acted = -Infinity; // when a person last pressed a key or a button
  #turns = 0; // questions so far
  #heard = 0; // the latest of them that was answered
  #timer = 0;
  #listeners = [];

  constructor(notebook) {
    this.#notebook = notebook;
    this.#channel = new BroadcastChannel(notebook.channel);
    this.#channel.addEventListener('message', ({ data }) => data?.news && this.soon());
    const seen = () => {
      if (document.visibilityState === 'visible' && clock() - this.#asked >= REST) this.#look();
    };
    document.addEventListener('visibilitychange', seen);
    window.addEventListener('focus', seen);
    for (const act of ['keydown', 'pointerdown']) {
      window.addEventListener(act, () => { this.#acted = clock(); }, { capture: true, passive: true });
    }
  }

  begin() {
    this.#channel.postMessage({ news: true }); // to tabs that show the end of what was here before
    this.#look();
  }

  // Call `listener` whenever something may look different.
  listen(listener) { this.#listeners.push(listener); }

  get over() { return this.farewell !== ''; }

  end() {
    const { claimed_at: begun, expires_at: expires, idle_at: idle } = this.server;
    const last = expires ?? Infinity;
    const at = Math.min(last, idle ?? Infinity);
    const span = at < last ? this.#patience : last - begun;
    return {
      at,
      left: at + this.ahead - Date.now() / 1000,
      keepable: at < last,
      // Where servers do not live for long, a warning must not be there all the time.
      warnings: [Math.min(FIRST, span / 2), Math.min(LAST, span / 5)],
    };
  }

  // Ask the service; return the answer's status, 0 for none.
  ask(method = 'GET', path = '') {
    this.#asked = clock();
    this.#asking = this.#question(method, path);
    return this.#asking;
  }

  async #question(method, path) {
    this.#turns += 1;
    const turn = this.#turns;
    const headers = { Authorization: `token ${this.#notebook.token}` };
    const options = { method, headers, signal: AbortSignal.timeout(DEADLINE * 1000), cache: 'no-store' };
    try {
      const answer = await fetch(`${this.#notebook.service}${path}`, options);
      const body = await answer.json().catch(() => ({}));
      if (turn > this.#heard) this.#learn(answer, body);
      this.#heard = Math.max(turn, this.#heard);
      return answer.status;
    } catch {
      return 0; // the next may come
    } finally {
      this.#tell();
    }
  }

  async keep() {
    const status = await this.ask('POST', '/extend');
    if (status === 200) this.#channel.postMessage({ news: true });
    return status;
  }

  // Something has happened that may have to do with the end, or with a new beginning.
  soon() {
    if (this.unknown) return;
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.#asked + REST - clock());
    this.#timer = setTimeout(() => this.#look({ unseen: true }), wait * 1000);
  }

  // What came in place of an answer of the server may tell of its end.
  overhear(body) {
    if (body?.error?.code !== ENDED || this.over) return;
    if (body.error.reason) this.#finish(body.message);
    else this.soon();
  }

  // Whether the server is there again, for a request that a person may just have caused.
  async isBack() {
    if (clock() - this.#acted < RECENT) {
      const isNew = this.#acted > this.#asked && clock() - this.#asked >= REST;
      await (isNew ? this.ask() : this.#asking);
    }
    return !this.over;
  }

  #learn(answer, body) {
    if (answer.ok) {
      this.server = body;
      this.ahead = Date.now() / 1000 - body.now;
      this.#patience = Math.max(this.#patience, (body.idle_at ?? 0) - body.now);
      this.#misses = 0;
      this.farewell = '';
    } else if (body?.error?.code === ENDED) {
      this.#misses += 1;
      // The service may have just started. If it knows why, it knows for certain.
      if (body.error.reason || this.#misses > 1) this.#finish(body.message);
    } else if (!this.server && answer.status >= 400 && answer.status < 500) {
      this.unknown = true;
    }
  }

  #finish(message) {
    this.farewell = message || 'This notebook server has ended. Its files are gone.';
    this.#tell();
  }

  #tell() { for (const listener of this.#listeners) listener(); }

  #next() {
    if (this.over || !this.server) return PERIOD;
    if (this.#misses) return REST;
    const { left, warnings } = this.end();
    const wait = [...warnings, -REST].map((limit) => left - limit).find((seconds) => seconds > 0);
    return wait < 1.5 * PERIOD ? Math.max(SOONEST, wait) : PERIOD;
  }

  async #look({ unseen = false } = {}) {
    clearTimeout(this.#timer);
    const looks = document.visibilityState === 'visible';
    if (this.unknown || (!looks && !unseen)) return; // the return of who looks asks again
    await this.ask();
    clearTimeout(this.#timer);
    if (!this.unknown) this.#timer = setTimeout(() => this.#look({ unseen: this.#misses === 1 }), this.#next() * 1000);
  }
}
