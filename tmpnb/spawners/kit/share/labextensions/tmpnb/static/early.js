// Have what is run before the kernel is there wait for it: Jupyter drops it without a word.

const LONGEST = 60; // seconds
const RUNS = /^notebook:run-(cell|all)/;

// Settles when the kernel of the notebook is there, or it is not worth while to wait any longer.
const kernelOf = ({ sessionContext }) => {
  const late = new Promise((resolve) => { setTimeout(resolve, LONGEST * 1000); });
  return Promise.race([sessionContext.ready, late]).catch(() => {}); // Jupyter says itself what went wrong
};

export const awaitKernels = (app) => {
  const { commands } = app;
  const execute = commands.execute.bind(commands);
  const place = () => app.shell.currentWidget?.content?.activeCell; // where a command runs
  let meant; // the place of the next that waits
  let waiting = 0;

  const later = async (panel, id, all) => {
    if (!waiting) meant = place();
    waiting += 1;
    await kernelOf(panel);
    waiting -= 1;
    if (place() !== meant) return undefined; // nothing runs where it was not asked for
    const done = execute(id, ...all);
    meant = place(); // the next cell, for who pressed twice
    return done;
  };

  commands.execute = (id, ...all) => {
    const panel = RUNS.test(id) ? app.shell.currentWidget : null;
    const waits = panel?.sessionContext?.ready && !panel.sessionContext.isReady;
    return waits ? later(panel, id, all) : execute(id, ...all);
  };
};
