// Runs before any part of JupyterLab or Notebook 7, and makes their page fit for a frame.
'use strict';

(() => {
  const NAME = 'tmpnb';
  const { src } = document.currentScript ?? {};

  const inMemory = () => {
    const kept = new Map();
    return {
      get length() { return kept.size; },
      key: (index) => [...kept.keys()][index] ?? null,
      getItem: (key) => kept.get(String(key)) ?? null,
      setItem: (key, value) => { kept.set(String(key), String(value)); },
      removeItem: (key) => { kept.delete(String(key)); },
      clear: () => { kept.clear(); },
    };
  };

  const works = (storage) => {
    try {
      window[storage].setItem(NAME, '');
      window[storage].removeItem(NAME);
      return true;
    } catch {
      return false;
    }
  };

  // In a frame of another site storage throws where the browser blocks third-party cookies.
  // JupyterLab takes that for a window name already taken, and reloads for ever.
  for (const storage of ['localStorage', 'sessionStorage']) {
    if (works(storage)) continue;
    try {
      Object.defineProperty(window, storage, { value: inMemory(), configurable: true });
    } catch {
      // Then the page is on its own, as it is without us.
    }
  }

  // To whoever frames us: there is no secret in it.
  if (window.parent !== window) window.parent.postMessage({ type: 'tmpnb:loaded' }, '*');

  const PATIENCE = 5; // seconds that Jupyter's page waits for our scripts
  const inTime = (promise) => Promise.race([
    promise,
    new Promise((resolve) => { setTimeout(resolve, PATIENCE * 1000); }),
  ]);

  // By an element: the page's `load` event, which JupyterLab waits for, must come after it.
  const load = (file) => new Promise((resolve) => {
    const script = Object.assign(document.createElement('script'), { type: 'module', src: new URL(file, src) });
    script.onload = script.onerror = resolve;
    document.head.append(script);
  });

  // What JupyterLab expects of an extension; it goes on when `init` is done.
  const loaded = src ? inTime(load('main.js')) : null;
  let shared = {};
  const extension = {
    plugins: async () => [], // from main.js
    init: async (scope) => {
      shared = scope;
      await loaded;
    },
    get: async () => {
      const plugins = await inTime(extension.plugins(shared).catch(() => [])) ?? [];
      return () => ({ __esModule: true, default: plugins });
    },
  };
  (window._JUPYTERLAB ??= {})[NAME] = extension;
})();
