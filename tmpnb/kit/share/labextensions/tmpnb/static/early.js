// Have what is run before the kernel is there wait for it: Jupyter drops it without a word.

const LONGEST = 60; // seconds
const RUNS = /^notebook:run-(cell|all)/;

// What the notebook in sight waits for; nothing if its kernel is there.
const coming = (app) => {
  const session = app.shell.currentWidget?.sessionContext;
  if (!session?.ready || session.isReady) return null;
  const late = new Promise((resolve) => { setTimeout(resolve, LONGEST * 1000); });
  return Promise.race([session.ready, late]).catch(() => {}); // Jupyter says itself what went wrong
};

export const awaitKernels = (app) => {
  const { commands } = app;
  const execute = commands.execute.bind(commands);
  commands.execute = (id, ...all) => {
    const kernel = RUNS.test(id) ? coming(app) : null;
    return kernel ? kernel.then(() => execute(id, ...all)) : execute(id, ...all);
  };
};
