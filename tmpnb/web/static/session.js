// The page beside a notebook: let its time run, and ask now and then whether that is still so.
'use strict';

(() => {
  const PERIOD = 60; // seconds between two questions, while somebody looks
  const DEADLINE = 20; // seconds for one answer
  const page = document.querySelector('main');
  const status = page.querySelector('[role=status]');
  const unused = page.querySelector('#unused');
  const keep = page.querySelector('#keep');
  const { server } = page.dataset;
  const token = page.querySelector('input[name=token]').value;

  const { now, expires, idle } = page.dataset;
  let known = { now: Number(now), expires_at: Number(expires), idle_at: idle ? Number(idle) : null };
  let ahead = Date.now() / 1000 - known.now; // seconds that the clock here is ahead of the service's
  let asked = performance.now();

  const duration = (seconds) => {
    const minutes = Math.round(seconds / 60);
    if (minutes < 1) return 'less than a minute';
    const [count, unit] = minutes < 90 ? [minutes, 'minute'] : [Math.round(minutes / 60), 'hour'];
    if (unit === 'hour' && count >= 48) return `${Math.round(count / 24)} days`;
    return `${count} ${unit}${count === 1 ? '' : 's'}`;
  };

  const tell = (element, moment) => {
    element.dateTime = new Date((moment + ahead) * 1000).toISOString();
    times.show(element);
  };

  const show = () => {
    const { expires_at: last, idle_at: first } = known;
    const keepable = first !== null && first < last;
    tmpnb.head(`${duration((first ?? last) + ahead - Date.now() / 1000)} left`);
    tell(page.querySelector('[data-when=expires]'), last);
    const [sooner, later] = ['idle', 'expires'].map((when) => page.querySelector(`[data-when=${when}]`));
    if (keepable) tell(sooner, first);
    unused.hidden = !keepable || sooner.textContent === later.textContent;
    keep.hidden = first !== null && !keepable;
  };

  const end = (why) => {
    page.dataset.state = 'ended';
    tmpnb.head('This notebook has ended');
    status.textContent = why;
    for (const gone of page.querySelectorAll('form, details, .content > p:not(.status)')) gone.hidden = true;
    clearInterval(timer);
    document.removeEventListener('visibilitychange', look);
  };

  const ask = async () => {
    const headers = { Authorization: `token ${token}` };
    const options = { headers, cache: 'no-store', signal: AbortSignal.timeout(DEADLINE * 1000) };
    const answer = await fetch(`/api/servers/${server}`, options);
    if (answer.status === 404) end((await answer.json()).message);
    if (!answer.ok) return;
    known = await answer.json();
    ahead = Date.now() / 1000 - known.now;
    show();
  };

  const look = () => {
    if (document.visibilityState !== 'visible') return;
    show();
    if (performance.now() - asked < PERIOD * 1000) return;
    asked = performance.now();
    ask().catch(() => {}); // no answer: the next may come
  };

  // A link from the notebook's menu leads to one of the parts that are folded.
  const unfold = () => {
    const folded = document.getElementById(location.hash.slice(1))?.closest('details');
    if (folded) folded.open = true;
  };

  const timer = setInterval(look, 5_000);
  document.addEventListener('visibilitychange', look);
  window.addEventListener('hashchange', unfold);
  unfold();
  show();
})();
