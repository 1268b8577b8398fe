// The ways out of a notebook lead to the page beside it. Jupyter's own end where nothing goes on.

const QUESTION = 'Stop this notebook?';
const CONSEQUENCE = 'It closes at once, and its files are permanently deleted.';
const FAILURE = 'The service did not answer. Please try again.';

let leaving = false;

// Before Jupyter's page looks: nothing that it could ask about can be kept any more.
window.addEventListener('beforeunload', (event) => leaving && event.stopImmediatePropagation(), true);

const go = (address) => {
  leaving = true;
  window.location.assign(address);
};

const isSure = async ({ showDialog, Dialog }) => {
  if (!showDialog) return window.confirm(`${QUESTION}\n${CONSEQUENCE}`);
  const buttons = [Dialog.cancelButton(), Dialog.warnButton({ label: 'Stop It' })];
  return (await showDialog({ title: QUESTION, body: CONSEQUENCE, buttons })).button.accept;
};

const tell = ({ showErrorMessage }) => {
  if (showErrorMessage) showErrorMessage('It Was Not Stopped', FAILURE);
  else window.alert(FAILURE);
};

const end = async (notebook) => {
  const headers = { Authorization: `token ${notebook.token}` };
  const signal = AbortSignal.timeout(20_000);
  const { status } = await fetch(notebook.service, { method: 'DELETE', headers, signal });
  return status === 204 || status === 404;
};

export const leave = {
  // To the page that says that it has ended.
  async byStopping(modules, notebook) {
    if (!await isSure(modules)) return;
    if (await end(notebook).catch(() => false)) go(notebook.session);
    else tell(modules);
  },

  // What is not saved then, Jupyter's page asks about.
  async toSession(notebook, hint) {
    await hint.save();
    window.location.assign(notebook.session);
  },
};

// Have some commands of Jupyter do other things, wherever they are called from.
export const lead = (commands, elsewhere) => {
  const execute = commands.execute.bind(commands);
  commands.execute = (id, ...all) => (Object.hasOwn(elsewhere, id) ? elsewhere[id]() : execute(id, ...all));
};
