// Take one notebook for the person who looks at this page, and go there.
'use strict';

(() => {
  const MAX_TRIES = 40; // without a notebook
  const MAX_FAULTS = 6; // without a usable answer
  const GOES_ON = 'This page goes on by itself: leave it open.';
  const PROMPTS = { working: '[*]', waiting: '[…]', failed: '[!]' };
  const page = document.querySelector('main');
  const [form, button, hint] = ['form', 'button', '.hint'].map((s) => page.querySelector(s));
  const framed = window.top !== window.self;
  let tries = 0;
  let faults = 0;
  let timer = 0;
  let busy = false;
  let patience = 0; // seconds that one question may wait

  const show = (state, heading, text) => {
    page.dataset.state = state;
    page.querySelector('.prompt').textContent = PROMPTS[state];
    tmpnb.head(heading);
    page.querySelector('.status').textContent = text;
    button.textContent = state === 'working' ? 'Starting…' : 'Try now';
    button.setAttribute('aria-disabled', state === 'working');
    hint.textContent = '';
  };

  const later = (seconds) => {
    tmpnb.announce(hint, seconds);
    timer = setTimeout(() => attempt(), seconds * 1000);
  };

  const wait = (body, asked) => {
    const { status, capacity, available, starting, ticket } = body;
    const [heading, text] = status === 'starting'
      ? ['Notebooks are getting ready', `Ready so far: ${available} of ${capacity}. Getting ready: ${starting}. ${GOES_ON}`]
      : ['No notebook is free right now', `This service runs ${capacity} at a time. One becomes free when somebody leaves. ${GOES_ON}`];
    show('waiting', heading, text);
    if (ticket) {
      follow(ticket, body);
      return;
    }
    tries += 1;
    if (tries < MAX_TRIES) later(tmpnb.delay(asked, tries - 1));
    else hint.textContent = 'This page has stopped trying by itself.';
  };

  // Wait in line; events tell when it is our turn, or we ask ourselves.
  const follow = async (ticket, place) => {
    const tell = (now) => { hint.textContent = line.words(now); };
    line.ticket = ticket;
    tmpnb.tellPlace?.(ticket); // in an article
    if (place) tell(place); // else the page tells already
    const word = await line.wait(ticket, tell);
    if (busy || word === 'replaced') return;
    patience = word === 'silent' ? line.PATIENCE : 0;
    if (word === 'silent') later(1);
    else attempt('unseen');
  };

  const fault = (asked) => {
    faults += 1;
    if (faults < MAX_FAULTS) {
      show('waiting', 'Still trying…', 'The service did not answer.');
      later(tmpnb.delay(asked, faults - 1));
    } else {
      show('failed', 'The service does not answer', 'Check your connection, then try again.');
    }
  };

  const judge = ({ code, body, asked }) => {
    const error = body.error?.code;
    if (body.url) {
      line.ticket = '';
      const target = new URL(body.url, location);
      target.hash ||= location.hash;
      tmpnb.tell?.(target); // in an article
      location.replace(target);
      return;
    }
    busy = false;
    if (body.status) {
      faults = 0;
      wait(body, asked);
    } else if (error === 'which_notebook' && tmpnb.isWithin()) {
      show('failed', 'Which notebook?', 'Open this page in a tab of its own to choose.');
    } else if (['passphrase_needed', 'which_notebook'].includes(error)) {
      form.action += location.hash;
      form.submit(); // the answer to the plain form asks for it
    } else if (code >= 400 && code < 500) {
      show('failed', 'No notebook for now', body.error?.message ?? `The service answered ${code}.`);
    } else {
      fault(asked);
    }
  };

  async function attempt(how) {
    busy = true;
    clearTimeout(timer);
    if (how !== 'unseen') await tmpnb.seen(); // who has waited in line may look elsewhere
    show('working', 'Starting your notebook…', 'This takes a moment.');
    judge(await tmpnb.ask(form, patience).catch(() => ({ body: {}, asked: 2 })));
  }

  const out = page.querySelector('[data-framed]');
  out.hidden = !framed;
  out.href = location.href; // with what stands behind "#"
  // A sandboxed frame may not read our answer; there the plain form does it.
  if (window.origin === 'null') return;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (busy) return;
    tries = faults = 0;
    attempt();
  });

  // Coming back here, or a browser restoring its tabs, is no wish for one more.
  const back = performance.getEntriesByType('navigation')[0]?.type === 'back_forward';
  const { autostart } = page.dataset;
  const { ticket } = form.elements;
  if (ticket) follow(ticket.value);
  else if (!back && (autostart === 'yes' || (autostart === 'top' && !framed))) attempt();
})();
