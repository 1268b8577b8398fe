// Show every time of a page by the visitor's own clock and habits.
'use strict';

const times = {
  // Show in `element` the time that its `datetime` says: the day only if it is not today.
  show(element) {
    const date = new Date(element.dateTime);
    const options = { hour: '2-digit', minute: '2-digit' };
    if (date.toDateString() !== new Date().toDateString()) {
      Object.assign(options, { day: 'numeric', month: 'short' });
    }
    element.textContent = date.toLocaleString([], options);
  },
};

document.querySelectorAll('time').forEach(times.show);
