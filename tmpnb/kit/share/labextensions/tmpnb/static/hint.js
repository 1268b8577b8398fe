// Say in a corner of the notebook's own page how long it lasts, and warn before it ends.
'use strict';

(() => {
  const PERIOD = 60; // seconds between two questions, while somebody looks
  const SOONEST = 30; // seconds between them at least
  const DEADLINE = 20; // seconds for one answer
  const FIRST = 600; // seconds before the end for the first warning
  const LAST = 120; // seconds before the end for the second
  const LEVELS = ['', 'calm', 'soon', 'now', 'ended'];
  const CLOSED = 'tmpnb:hint'; // in sessionStorage: the level at which the hint was closed

  const config = JSON.parse(document.getElementById('jupyter-config-data')?.textContent || '{}');
  const base = new URL(config.baseUrl || '/', location.href).pathname;
  const [, prefix, id] = /^(.*)\/user\/([\w-]{1,64})\/$/.exec(base) ?? [];
  if (!id || !config.token) return;
  const query = `?token=${encodeURIComponent(config.token)}`;

  // What is known

  let server = null; // the last answer
  let ahead = 0; // seconds that the clock here is ahead of the service's
  let patience = 0; // seconds: the most that were left before it would be idle
  let misses = 0; // times in a row that there was no such server

  const learn = (answer) => {
    server = answer;
    ahead = Date.now() / 1000 - answer.now;
    patience = Math.max(patience, (answer.idle_at ?? 0) - answer.now);
  };

  // One 404 may come from a service that has just started and does not know its servers yet.
  const gone = () => misses > 1;

  const end = () => {
    const expires = server.expires_at ?? Infinity;
    const at = Math.min(expires, server.idle_at ?? Infinity);
    const span = at < expires ? patience : expires - server.claimed_at;
    return {
      at,
      left: at + ahead - Date.now() / 1000,
      keepable: at < expires,
      // Where servers do not live for long, a warning must not be there all the time.
      warnings: [Math.min(FIRST, span / 2), Math.min(LAST, span / 5)],
    };
  };

  const level = () => {
    const { left, warnings: [first, last] } = end();
    if (gone()) return 'ended';
    return left <= last ? 'now' : left <= first ? 'soon' : 'calm';
  };

  // What is shown

  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const link = (text, href) => make('a', { href, target: '_blank', rel: 'noopener noreferrer' }, text);

  const calm = link('', `${prefix}/session/${id}${query}`);
  const words = make('p', { role: 'status' });
  const left = make('span', {});
  const keep = make('button', { type: 'button' }, 'Keep it');
  const files = link('Download my files', `${calm.href}#download`);
  const more = link('More', calm.href);
  const again = link('Start again, or rescue what is here', `${base}${query}`);
  const close = make('button', { type: 'button', className: 'close', ariaLabel: 'Close' }, '×');
  const box = make('section', { ariaLabel: 'Temporary notebook' });
  const host = make('tmpnb-hint', { hidden: true });

  const duration = (seconds) => {
    const minutes = Math.round(seconds / 60);
    if (minutes < 1) return 'less than a minute';
    if (minutes < 90) return `${minutes} minute${minutes === 1 ? '' : 's'}`;
    return `${Math.round(minutes / 60)} hours`;
  };

  const time = (at) => new Date((at + ahead) * 1000)
    .toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

  const warning = ({ at, keepable }) => {
    const why = keepable ? 'Nothing has happened here for a while. ' : '';
    return `${why}This notebook closes at ${time(at)}, and its files with it.`;
  };

  const sentence = (now) => {
    if (now === 'calm') return '';
    if (now !== 'ended') return warning(end());
    return 'This notebook has ended, and its files are gone. What you still see can be copied.';
  };

  const show = (text = '') => {
    const now = level();
    const said = text || sentence(now);
    if (words.textContent !== said) words.textContent = said; // and read aloud
    const about = duration(end().left);
    calm.textContent = Number.isFinite(end().left) ? `Temporary · ${about} left` : 'Temporary';
    left.textContent = `${about} left`;
    const warns = now === 'soon' || now === 'now';
    calm.hidden = now !== 'calm' || said !== '';
    left.hidden = files.hidden = more.hidden = !warns;
    keep.hidden = !warns || !end().keepable;
    again.hidden = now !== 'ended';
    box.dataset.level = now;
    host.hidden = !text && LEVELS.indexOf(closed) >= LEVELS.indexOf(now);
  };

  // What is done

  let closed = sessionStorage.getItem(CLOSED) ?? '';
  let asked = -Infinity; // seconds of performance.now(), when we asked last
  let timer = 0;

  // Ask the service, not the server, whose idle time goes on; return the answer's status.
  const ask = async (method = 'GET', path = '') => {
    asked = performance.now() / 1000;
    const headers = { Authorization: `token ${config.token}` };
    const signal = AbortSignal.timeout(DEADLINE * 1000);
    const options = { method, headers, signal, cache: 'no-store' };
    const answer = await fetch(`${prefix}/api/servers/${id}${path}`, options);
    if (answer.ok) learn(await answer.json());
    if (answer.ok || answer.status === 404) misses = answer.ok ? 0 : misses + 1;
    return answer.status;
  };

  const next = () => {
    if (!server || misses) return misses === 1 ? SOONEST : PERIOD;
    const { left: rest, warnings } = end();
    const wait = [...warnings, -2].map((limit) => rest - limit).find((seconds) => seconds > 0);
    return wait < 1.5 * PERIOD ? Math.max(SOONEST, wait) : PERIOD;
  };

  const look = async () => {
    clearTimeout(timer);
    if (document.visibilityState !== 'visible') return; // its return asks again
    const status = await ask().catch(() => 0); // no answer: the next may come
    if (status >= 400 && status < 500 && !(server && status === 404)) {
      host.hidden = true; // another service than ours, or an older one
      document.removeEventListener('visibilitychange', seen);
      return;
    }
    if (server) show();
    timer = setTimeout(look, next() * 1000);
  };

  const seen = () => {
    if (performance.now() / 1000 - asked >= SOONEST) look();
  };

  const shut = () => {
    closed = box.dataset.level;
    sessionStorage.setItem(CLOSED, closed);
    host.hidden = true;
  };

  keep.addEventListener('click', async () => {
    const before = end().at;
    const status = await ask('POST', '/extend').catch(() => 0);
    if (status !== 200) show('The service did not answer. Please try again.');
    else if (end().at > before) show(`Kept until ${time(end().at)}.`);
    else show('It cannot be kept for longer.');
  });
  close.addEventListener('click', shut);
  box.addEventListener('keydown', (event) => {
    event.stopPropagation(); // or it would be a command of the notebook
    if (event.key === 'Escape') shut();
  });
  document.addEventListener('visibilitychange', seen);

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
    section:not([data-level=calm]) { padding: 8px 34px 8px 12px; border-left: 4px solid #c2651a; font-size: 13px; }
    p { margin: 0; }
    span, a, button { margin-right: 12px; white-space: nowrap; }
    a { color: var(--jp-content-link-color, #0b5cad); }
    [data-level=calm] a { margin: 0; color: inherit; text-decoration: none; }
    [data-level=calm] a:hover { text-decoration: underline; }
    button {
      padding: 1px 10px; border: 1px solid currentcolor; border-radius: 3px;
      background: none; color: inherit; font: inherit; cursor: pointer;
    }
    .close { position: absolute; top: 0; right: 0; margin: 0; padding: 2px 8px; border: 0; }
    :focus-visible { outline: 2px solid currentcolor; outline-offset: -2px; }
    @media print { :host { display: none; } }
  `);
  const root = host.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [style];
  box.append(calm, words, left, keep, files, more, again, close);
  root.append(box);
  document.body.append(host);
  look();
})();
