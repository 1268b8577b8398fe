// The page for authors: copy with one press, and show at once what a change does.
'use strict';

(() => {
  const PAUSE = 300; // milliseconds without a key before it is shown
  const form = document.querySelector('form');
  const status = document.querySelector('.hint');
  let timer = 0;
  let latest = 0;

  const uncover = () => {
    for (const button of document.querySelectorAll('[data-copies]')) button.hidden = false;
  };

  // The service knows what to paste; this only puts it in place.
  const show = async () => {
    const mine = latest += 1;
    const url = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const text = await (await fetch(url)).text();
    if (mine !== latest) return;
    const page = new DOMParser().parseFromString(text, 'text/html');
    document.getElementById('result').replaceWith(page.getElementById('result'));
    uncover();
    if (document.querySelector('#preview iframe')) return; // somebody works in it
    document.getElementById('preview').replaceWith(page.getElementById('preview'));
    document.dispatchEvent(new Event('tmpnb:look'));
  };

  const copy = async (button) => {
    const field = document.getElementById(button.dataset.copies);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch { // not on https, or not allowed
      document.execCommand('copy');
    }
    button.focus();
    status.textContent = `Copied: ${field.labels[0].textContent}.`;
    button.textContent = 'Copied';
  };

  document.addEventListener('click', ({ target }) => {
    if (target.matches('[data-copies]')) copy(target);
  });
  form.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => show().catch(() => form.submit()), PAUSE);
  });
  uncover();
})();
