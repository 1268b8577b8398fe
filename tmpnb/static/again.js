// Who comes back from the notebook that they have is asked: on with it, or a fresh one.
'use strict';

(() => {
  const form = document.querySelector('form');
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const text = 'The notebook that you have may still be open. Start fresh to close it and to get a new one: its files are deleted.';
  const fresh = make('button', { type: 'button', id: 'fresh', className: 'danger quiet', textContent: 'Start fresh' });
  const again = make('section', { className: 'again' });
  again.append(make('p', { textContent: text }), fresh);
  form.querySelector('button').textContent = 'Back to my notebook';
  form.after(again);
  form.addEventListener('submit', () => again.remove());
  fresh.addEventListener('click', () => {
    const wish = make('input', { type: 'hidden', name: 'fresh', value: '1' });
    form.append(wish);
    form.requestSubmit();
  });
})();
