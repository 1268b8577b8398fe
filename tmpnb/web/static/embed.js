// Put live notebooks into an article: <div data-tmpnb="https://notebooks.example/lab">…</div>
// becomes a button, and a press of it the notebook. What is in the div stays below as a way out.
'use strict';

(() => {
  const places = []; // { frame, origin, key, link } of each notebook that was opened

  // The link past a notebook is for the keyboard; it moves nothing in the article.
  const UNSEEN = 'position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap';
  const SEEN = 'position: absolute; z-index: 1; padding: .5em 1em; background: Canvas; color: LinkText; outline: 2px solid';

  const memory = (act) => {
    try { return act(window.sessionStorage); } catch { return null; } // there may be none
  };

  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  // What is not public wants leave to be in a page that is. By name, as the address is not known.
  const isPrivate = (url) => {
    const { hostname } = new URL(url, location.href);
    return !/\./.test(hostname) || /\.(localhost|local|internal|home\.arpa)\.?$/.test(hostname)
      || /^(127|10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.[\d.]+$/.test(hostname);
  };

  // Why a page may not show notebooks, which its browser does not tell it; nothing if it may.
  const refusal = async (service) => {
    if (location.protocol === 'https:' && service.protocol === 'http:' && !isPrivate(service)) {
      return 'It is not on https, as this page is.';
    }
    const asked = new URL('/api/embed', service);
    for (const page of [location.origin, ...(location.ancestorOrigins ?? [])]) asked.searchParams.append('page', page);
    const answer = await fetch(asked, { signal: AbortSignal.timeout(10_000) });
    const { allowed, sites } = await answer.json();
    if (allowed) return '';
    return sites.length ? `Pages of these sites may: ${sites.join(', ')}.` : 'No page of another site may.';
  };

  const refuse = (place, service, why) => {
    const says = make('p', { tabIndex: -1, textContent: `Notebooks of ${service.host} cannot be shown in this page. ${why} ` });
    says.setAttribute('role', 'alert');
    if (!place.querySelector('a[target="_blank"]')) {
      says.append(make('a', { href: place.dataset.tmpnb, target: '_blank', rel: 'noopener', textContent: 'Open in a new tab' }));
    }
    for (const part of place.querySelectorAll('iframe, [data-tmpnb-part]')) part.remove();
    place.prepend(says);
    place.dataset.tmpnbState = 'refused';
    says.focus();
  };

  const open = (place, url, pressed) => {
    const { tmpnb: wanted, title = 'Live notebook', height = '600' } = place.dataset;
    const { origin } = new URL(wanted, location.href);
    const frame = make('iframe', { title, loading: 'lazy', referrerPolicy: 'strict-origin', src: url });
    frame.allow = `clipboard-read; clipboard-write; fullscreen${isPrivate(wanted) ? '; local-network-access' : ''}`;
    frame.style.cssText = `width: 100%; height: min(80vh, ${Number(height) || 600}px); border: 1px solid #ccc`;
    places.push({ frame, origin, key: wanted, link: place.querySelector('a') });
    // The service takes our word that somebody asked for it, if our site may show notebooks.
    const ticket = memory((storage) => storage.getItem(`tmpnb-place:${wanted}`)); // in line
    const start = () => frame.contentWindow.postMessage({ type: 'tmpnb:start', ticket }, origin);
    if (pressed) {
      frame.addEventListener('load', start, { once: true });
      const service = new URL(wanted, location.href);
      // Without an answer it is as if nobody had asked.
      refusal(service).then((why) => why && refuse(place, service, why), () => {});
    }
    const end = make('span', { id: `tmpnb-end-${places.length}`, tabIndex: -1 });
    const skip = make('a', { href: `#${end.id}`, textContent: `Skip: ${title}` });
    for (const part of [skip, end]) part.dataset.tmpnbPart = '';
    const dress = (css) => () => { skip.style.cssText = css; };
    skip.onfocus = dress(SEEN);
    skip.onblur = dress(UNSEEN);
    skip.onblur();
    place.prepend(skip, frame, end);
  };

  // Only the one who was given a notebook has the token with which its service answers.
  const alive = async (url) => {
    const { origin, pathname, searchParams } = new URL(url);
    const headers = { Authorization: `token ${searchParams.get('token')}` };
    const signal = AbortSignal.timeout(10_000);
    return (await fetch(`${origin}/api/servers/${pathname.split('/')[2]}`, { headers, signal })).ok;
  };

  const furnish = async (place) => {
    place.dataset.tmpnbState = 'idle';
    const { tmpnb: wanted, title = 'Live notebook' } = place.dataset;
    const button = make('button', { type: 'button', textContent: `▶ Launch: ${title}` });
    button.addEventListener('click', () => { button.remove(); open(place, wanted, true); });
    const url = memory((storage) => storage.getItem(`tmpnb:${wanted}`));
    if (url && await alive(url).catch(() => false)) open(place, url, false);
    else place.prepend(button);
  };

  // A service may have a host of its own for each notebook, below its own.
  const belongs = (url, service) => {
    const [notebook, { protocol, host }] = [new URL(url), new URL(service)];
    return notebook.origin === service
      || (notebook.protocol === protocol && notebook.host.endsWith(`.${host}`));
  };

  const isNotebook = (url, service) => URL.canParse(url) && belongs(url, service)
    && new URL(url).pathname.startsWith('/user/');

  window.addEventListener('message', ({ source, origin, data }) => {
    const place = places.find(({ frame }) => frame.contentWindow === source);
    if (!place || origin === 'null' || !belongs(origin, place.origin) || !/^tmpnb:\w+$/.test(data?.type)) return;
    place.frame.parentElement.dataset.tmpnbState = data.type.slice(6); // for the article's style
    if (place.origin !== origin) return; // the rest is for the service itself to say
    if (data.type === 'tmpnb:waiting') memory((storage) => storage.setItem(`tmpnb-place:${place.key}`, data.ticket));
    if (data.type !== 'tmpnb:ready' || !isNotebook(String(data.url), origin)) return;
    memory((storage) => storage.setItem(`tmpnb:${place.key}`, data.url));
    memory((storage) => storage.removeItem(`tmpnb-place:${place.key}`));
    if (place.link) place.link.href = data.url;
  });

  const look = () => document.querySelectorAll('[data-tmpnb]:not([data-tmpnb-state])').forEach(furnish);
  document.addEventListener('tmpnb:look', look); // for pages that add notebooks later
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', look);
  else look();
})();
