// What a page that leads to a notebook says to the article it is in, and hears from it.
'use strict';

(() => {
  if (window.top === window.self) return;
  const page = document.querySelector('main');
  const button = page.querySelector('button');
  const sources = document.currentScript.dataset.parents.split(' ');

  // Whether an origin may show notebooks, by the rules of the Content-Security-Policy.
  const allowed = (origin) => sources.some((source) => {
    if (source === "'self'") return origin === location.origin;
    if (source === '*') return /^https?:/.test(origin);
    const pattern = source.toLowerCase().replace(/[.[\]?+]/g, '\\$&')
      .replace('://*\\.', '://[^/:]+\\.').replace(':*', '(:\\d+)?').replace(/^http:/, 'https?:');
    return new RegExp(`^${pattern}$`).test(origin);
  });

  const parent = () => {
    const origin = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
    return origin && allowed(origin) ? origin : null;
  };

  // Tell the article where the notebook is, or the place in line, so that it finds it again
  // after a reload: in a frame of another site a browser may let us keep nothing.
  const say = (message) => {
    const origin = parent();
    if (origin) window.parent.postMessage(message, origin);
  };
  tmpnb.tell = (url) => say({ type: 'tmpnb:ready', url: String(url) });
  tmpnb.tellPlace = (ticket) => say({ type: 'tmpnb:waiting', ticket });

  // The article's button was pressed. Browsers say so themselves, but not all and not on http.
  window.addEventListener('message', ({ source, origin, data }) => {
    if (source !== window.parent || data?.type !== 'tmpnb:start' || !allowed(origin)) return;
    if (page.dataset.state !== 'idle') return;
    line.ticket ||= String(data.ticket ?? '');
    button.click();
  });

  // In a sandbox we are nobody: no notebook would take anything from us.
  if (window.origin === 'null') {
    page.dataset.state = 'failed';
    tmpnb.head('No notebook in this frame');
    page.querySelector('.status').textContent =
      'The page around it keeps it in a sandbox, where a notebook cannot run. Open it in a tab of its own:';
    page.querySelector('[data-framed]').className = 'button';
    page.querySelector('.hint').textContent = location.href;
    button.remove();
  }
})();
