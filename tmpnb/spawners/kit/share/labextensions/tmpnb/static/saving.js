// Save what is open before its files are taken away, and tell what could not be saved.

const SLOWEST = 10; // seconds until a document counts as not saved

const contexts = (app) => {
  const found = [...app.shell.widgets('main')].map((widget) => widget.context);
  return [...new Set(found)].filter((context) => context?.model?.dirty && context.save);
};

// Return the paths of what is not saved after all.
export const saveAll = async (app) => {
  const saved = Promise.allSettled(contexts(app).map((context) => context.save()));
  await Promise.race([saved, new Promise((resolve) => { setTimeout(resolve, SLOWEST * 1000); })]);
  return contexts(app).map((context) => context.path);
};

// Do so for the page beside the notebook, when it asks for it.
export const saveOnWish = (notebook, app) => {
  const channel = new BroadcastChannel(notebook.channel);
  const from = crypto.getRandomValues(new Uint32Array(2)).join('-');
  channel.addEventListener('message', async ({ data }) => {
    if (!data?.save) return;
    channel.postMessage({ saving: data.save, from });
    channel.postMessage({ saved: data.save, from, unsaved: await saveAll(app) });
  });
};
