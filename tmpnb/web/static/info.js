// Keep the numbers on this page fresh while somebody looks.
'use strict';

(() => {
  const PERIOD = 5; // seconds
  const KEPT = 120; // samples: ten minutes
  const GAP = 30; // seconds unseen after which the history starts anew
  const DEADLINE = 10; // seconds for one answer
  const CAPTION = 'Since you opened this page, ten minutes at most; now is on the right.';
  const figure = document.querySelector('figure');
  const status = document.querySelector('[role=status]');
  let samples = [];
  let faults = 0;

  const keep = (stats) => {
    const sample = { time: performance.now() / 1000 };
    for (const name of ['capacity', ...chart.LAYERS]) sample[name] = Number(stats[name]) || 0;
    if (samples.length && sample.time - samples.at(-1).time > GAP) samples = [];
    samples = [...samples, sample].slice(-KEPT);
  };

  const show = (stats) => {
    for (const place of document.querySelectorAll('[data-stat]')) {
      const told = stats[place.dataset.stat] ?? place.textContent;
      place.textContent = told === '' ? '–' : told; // as the page was served
    }
    chart.draw(figure.querySelector('svg'), samples);
    if (samples.length < 2) return;
    figure.querySelector('figcaption').textContent = CAPTION;
  };

  const refresh = async () => {
    await tmpnb.seen();
    try {
      const signal = AbortSignal.timeout(DEADLINE * 1000);
      const answer = await fetch('/api/stats', { cache: 'no-store', signal });
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      const stats = await answer.json();
      keep(stats);
      show(stats);
      if (faults) status.textContent = 'The numbers are fresh again.';
      faults = 0;
    } catch {
      faults += 1;
      if (faults === 1) status.textContent = 'The service does not answer; these numbers are old.';
    }
    setTimeout(refresh, (faults ? tmpnb.delay(PERIOD, faults) : PERIOD) * 1000);
  };

  refresh();
})();
