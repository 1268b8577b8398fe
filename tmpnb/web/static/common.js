// What every script here shares: whether a person looks, and how long to wait.
'use strict';

const tmpnb = {
  // Say it in the heading and in the title.
  head(text) {
    document.querySelector('h1').textContent = text;
    document.title = `${text} · ${document.querySelector('.brand').textContent}`;
  },

  // Whether a page of our own host could lay the question under a button.
  isWithin(at = window) {
    if (at === window.top) return false;
    try {
      if (at.parent.origin === window.origin) return true;
    } catch { /* another's */ }
    return this.isWithin(at.parent);
  },

  // Resolve as soon as a person can see this page.
  seen() {
    const events = ['visibilitychange', 'prerenderingchange'];
    return new Promise((resolve) => {
      const check = () => {
        if (document.visibilityState !== 'visible' || document.prerendering) return;
        for (const name of events) document.removeEventListener(name, check);
        resolve();
      };
      for (const name of events) document.addEventListener(name, check);
      check();
    });
  },

  // Seconds until the next try: what the server asked for, longer each time up to a
  // minute, and never the same for two visitors.
  delay(asked, tries) {
    const grown = Math.max(asked, Math.min(60, asked * 1.3 ** tries));
    return grown * (0.7 + 0.6 * Math.random());
  },

  // "Next try in about 5 seconds."
  announce(hint, seconds) {
    const whole = Math.max(1, Math.round(seconds));
    hint.textContent = `Next try in about ${whole} second${whole === 1 ? '' : 's'}.`;
  },
};
