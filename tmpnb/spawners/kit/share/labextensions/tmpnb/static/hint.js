// Say in a corner of the notebook's own page how long it lasts, and warn before it ends.
import { afterKeeping, duration, outlook, time } from './words.js';

const LEVELS = ['', 'calm', 'soon', 'now', 'ended'];
const CLOSED = 'tmpnb:hint'; // in sessionStorage: the level at which the hint was closed
const ENDED = 'This notebook has ended, and its files are gone. What you still see can be copied.';
const BACK = 'This notebook is open again at the same address, without its files. '
  + 'What you still see here can be saved.';

const style = new CSSStyleSheet();
style.replaceSync(`
  :host { position: fixed; z-index: 9000; right: 8px; bottom: 30px; }
  :host([hidden]), [hidden] { display: none !important; }
  section {
    position: relative; box-sizing: border-box; max-width: min(340px, calc(100vw - 16px));
    padding: 2px 30px 2px 8px; border: 1px solid var(--jp-border-color1, #bbb); border-radius: 4px;
    background: var(--jp-layout-color1, #fff); color: var(--jp-ui-font-color1, #222);
    font: 12px/1.6 var(--jp-ui-font-family, system-ui, sans-serif);
  }
  section:not([data-level=calm]), section.says { padding: 8px 34px 8px 12px; border-left: 4px solid #c2651a; font-size: 13px; }
  p { margin: 0; }
  span, a, button { margin-right: 12px; white-space: nowrap; }
  a { color: var(--jp-content-link-color, #0b5cad); }
  [data-level=calm] a { margin: 0; color: inherit; text-decoration: none; }
  [data-level=calm] a:hover { text-decoration: underline; }
  button {
    padding: 1px 10px; border: 1px solid currentcolor; border-radius: 3px;
    background: none; color: inherit; font: inherit; cursor: pointer;
  }
  section.says a { white-space: normal; }
  .close { position: absolute; top: 0; right: 0; margin: 0; padding: 2px 8px; border: 0; }
  :focus-visible { outline: 2px solid currentcolor; outline-offset: -2px; }
  @media print { :host { display: none; } }
`);

const make = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const link = (text, href) => make('a', { href, target: '_blank', rel: 'noopener noreferrer' }, text);

export class Hint {
  save = async () => []; // what is open, if Jupyter's page lets us; the paths of what is not saved

  #life;
  #closed = sessionStorage.getItem(CLOSED) ?? '';
  #note = ''; // said until it is closed
  #was = ''; // the level before
  #host = make('tmpnb-hint', { hidden: true });
  #box = make('section', { ariaLabel: 'Temporary notebook' });
  #calm;
  #words = make('p', { role: 'status' });
  #left = make('span', {});
  #keep = make('button', { type: 'button' }, 'Keep it');
  #files;
  #more;
  #again;

  constructor(notebook, life) {
    this.#life = life;
    this.#calm = link('', notebook.session);
    this.#files = link('Download my files', `${notebook.session}#download`);
    this.#more = link('More', notebook.session);
    this.#again = link('Start a new one, or rescue what is here', notebook.address);
    const close = make('button', { type: 'button', className: 'close', ariaLabel: 'Close' }, '×');
    const root = this.#host.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [style];
    this.#box.append(this.#calm, this.#words, this.#left, this.#keep, this.#files, this.#more, this.#again, close);
    root.append(this.#box);
    document.body.append(this.#host);
    this.#keep.addEventListener('click', () => this.keep());
    this.#files.addEventListener('click', () => this.saveFirst());
    close.addEventListener('click', () => this.#shut());
    this.#box.addEventListener('keydown', (event) => {
      event.stopPropagation(); // or it would be a command of the notebook
      if (event.key === 'Escape') this.#shut();
    });
    life.listen(() => this.#show());
  }

  async keep() {
    const before = this.#life.server ? this.#life.end().at : Infinity;
    const status = await this.#life.keep();
    if (!this.#life.over) this.#show(afterKeeping(this.#life, status, before));
  }

  // Say what would be missing in a download. The page that offers it may be open meanwhile.
  async saveFirst() {
    const unsaved = await this.save();
    if (unsaved.length > 0) this.#show(`Not saved, so not in a download: ${unsaved.join(', ')}`);
    return unsaved;
  }

  #level() {
    if (this.#life.over) return 'ended';
    const { left, warnings: [first, last] } = this.#life.end();
    return left <= last ? 'now' : left <= first ? 'soon' : 'calm';
  }

  #sentence(now) {
    if (now === 'ended') return ENDED;
    if (now === 'calm') return this.#note;
    const { at, keepable } = this.#life.end();
    const closes = `closes at ${time(this.#life, at)}`;
    if (!keepable) return `This notebook ${closes}, and its files with it.`;
    return `This notebook has been idle for a while. Unless you use it, it ${closes}, and its files with it.`;
  }

  #enter(now) {
    if (now === 'ended') this.#note = '';
    else if (this.#was === 'ended') {
      this.#note = BACK;
      if (this.#closed === 'ended') this.#closed = '';
    }
    this.#was = now;
  }

  #show(text = '') {
    if (this.#life.unknown || !(this.#life.server || this.#life.over)) {
      this.#host.hidden = true; // another service than ours, or an older one
      return;
    }
    const now = this.#level();
    if (now !== this.#was) this.#enter(now);
    const said = text || this.#sentence(now);
    if (this.#words.textContent !== said) this.#words.textContent = said; // and read aloud
    this.#calm.textContent = ['Temporary', outlook(this.#life)].filter(Boolean).join(' · ');
    const warns = now === 'soon' || now === 'now';
    if (warns) this.#left.textContent = `${duration(this.#life.end().left)} left`;
    this.#calm.hidden = now !== 'calm';
    this.#left.hidden = this.#files.hidden = this.#more.hidden = !warns;
    this.#keep.hidden = !warns || !this.#life.end().keepable;
    this.#again.hidden = now !== 'ended';
    this.#box.dataset.level = now;
    this.#box.classList.toggle('says', said !== '');
    this.#host.hidden = !text && !this.#note && LEVELS.indexOf(this.#closed) >= LEVELS.indexOf(now);
  }

  #shut() {
    this.#closed = this.#box.dataset.level;
    this.#note = '';
    sessionStorage.setItem(CLOSED, this.#closed);
    this.#host.hidden = true;
  }
}
