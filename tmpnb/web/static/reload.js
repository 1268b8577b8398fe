// Load the address again once the notebook behind it answers.
'use strict';

(() => {
  const MAX_TRIES = 40;
  const DEADLINE = 30; // seconds for one answer
  const page = document.querySelector('main');
  const hint = page.querySelector('.hint');
  const asked = Number(page.dataset.wait) || 2;

  const answers = async () => {
    try {
      // Another answer than 503, whatever it is, is the notebook's own.
      const options = { cache: 'no-store', redirect: 'manual' };
      const signal = AbortSignal.timeout(DEADLINE * 1000);
      return (await fetch(location.href, { ...options, signal })).status !== 503;
    } catch {
      return false;
    }
  };

  const attempt = async (tries) => {
    await tmpnb.seen();
    hint.textContent = 'Trying…';
    if (await answers()) location.reload();
    else later(tries + 1);
  };

  const later = (tries) => {
    if (tries >= MAX_TRIES) {
      page.dataset.state = 'failed';
      tmpnb.head('Your notebook does not answer');
      page.querySelector('.prompt').textContent = '[!]';
      page.querySelector('.status').textContent = 'It may be busy, or its server may have stopped.';
      hint.textContent = 'This page has stopped trying by itself.';
      return;
    }
    const seconds = tmpnb.delay(asked, tries);
    tmpnb.announce(hint, seconds);
    setTimeout(attempt, seconds * 1000, tries);
  };

  later(0);
})();
