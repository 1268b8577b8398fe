// The page beside a notebook speaks with the tabs that show it: they save before the files are taken.
'use strict';

(() => {
  const THERE = 500; // milliseconds in which a tab says that it saves
  const SAVED = 15_000; // milliseconds in which it has done so
  const MOST = 10; // names that are said
  const LONGEST = 100; // characters of one

  const page = document.querySelector('main');
  const status = page.querySelector('[role=status]');
  const form = page.querySelector('#download')?.form;
  // Without --subdomains the tabs are of our origin. Elsewhere nobody hears this.
  const channel = new BroadcastChannel(`tmpnb:${page.dataset.server}`);
  channel.postMessage({ news: true }); // it may just have been kept
  if (!form) return;

  const short = (name) => {
    const text = String(name);
    return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  };

  // Return the names of what could not be saved; null where no tab answers.
  const saveOpen = (wish) => new Promise((resolve) => {
    const saving = new Set();
    const unsaved = new Set();
    let heard = false;
    const end = () => {
      channel.onmessage = null;
      if (saving.size > 0) unsaved.add('a notebook whose tab does not answer');
      resolve(heard ? [...unsaved] : null);
    };
    channel.onmessage = ({ data }) => {
      if (data?.saving === wish) {
        heard = true;
        saving.add(data.from);
      } else if (data?.saved === wish && saving.delete(data.from)) {
        for (const name of data.unsaved?.slice?.(0, MOST) ?? []) unsaved.add(short(name));
        if (saving.size === 0 && late) end();
      }
    };
    let late = false;
    setTimeout(() => {
      late = true;
      if (saving.size === 0) end();
    }, THERE);
    setTimeout(end, SAVED);
    channel.postMessage({ save: wish });
  });

  const said = (unsaved) => {
    if (unsaved === null) return '';
    if (unsaved.length === 0) return 'What was open has been saved first.';
    return `Not in the zip file, since it could not be saved: ${unsaved.slice(0, MOST).join(', ')}.`;
  };

  let busy = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    status.textContent = 'Saving what is open…';
    status.textContent = said(await saveOpen(crypto.getRandomValues(new Uint32Array(2)).join('-')));
    busy = false;
    form.submit();
  });
})();
