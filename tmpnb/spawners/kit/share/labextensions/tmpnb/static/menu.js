// A menu and commands of JupyterLab and Notebook 7: what the hint tells and does, once it is closed, too.
import { awaitKernels } from './early.js';
import { lead, leave } from './leaving.js';
import { quietenManagers } from './quiet.js';
import { saveAll, saveOnWish } from './saving.js';
import { moduleOf } from './shared.js';
import { outlook } from './words.js';

const ID = 'tmpnb:plugin';
const LABEL = 'Temporary';
const RANK = 900; // in the menu bar: before Help
const TIME = 'tmpnb:time';

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const timeLeft = (life) => {
  if (life.over) return 'This Notebook Has Ended';
  return capital(outlook(life)) || 'How Long It Lasts';
};

const commandsOf = (modules, { notebook, life, hint }) => {
  const open = (fragment) => window.open(notebook.session + fragment, '_blank', 'noopener,noreferrer');
  const isEnabled = () => !life.over;
  return {
    [TIME]: {
      label: ({ isPalette }) => (isPalette ? 'Show How Long It Lasts' : timeLeft(life)),
      execute: () => open(''),
    },
    'tmpnb:keep': { label: 'Keep It', isEnabled, execute: () => hint.keep() },
    'tmpnb:download': {
      label: 'Download All My Files',
      isEnabled,
      execute: () => {
        hint.saveFirst();
        open('#download');
      },
    },
    'tmpnb:fresh': { label: 'Start Fresh…', execute: () => open('#fresh') },
    'tmpnb:stop': {
      label: 'Stop and Delete My Files…',
      isEnabled,
      execute: () => leave.byStopping(modules, notebook),
    },
  };
};

const add = (app, commands, { Menu }, palette, mainMenu) => {
  for (const [id, options] of Object.entries(commands)) {
    app.commands.addCommand(id, options);
    palette?.addItem({ command: id, category: 'Temporary Notebook', args: { isPalette: true } });
  }
  if (!mainMenu || !Menu) return;
  const menu = new Menu({ commands: app.commands });
  menu.id = 'jp-mainmenu-tmpnb';
  menu.title.label = LABEL;
  for (const command of Object.keys(commands)) {
    menu.addItem({ command });
    if (command === TIME || command === 'tmpnb:fresh') menu.addItem({ type: 'separator' });
  }
  mainMenu.addMenu(menu, true, { rank: RANK });
};

export const pluginOf = async (scope, parts) => {
  const { notebook, life, hint } = parts;
  const [apputils, mainmenu, widgets] = await Promise.all(
    ['@jupyterlab/apputils', '@jupyterlab/mainmenu', '@lumino/widgets'].map((name) => moduleOf(scope, name)),
  );
  const tokens = [apputils.ICommandPalette, mainmenu.IMainMenu];
  const known = tokens.filter(Boolean);
  const activate = (app, ...services) => {
    const [palette, mainMenu] = tokens.map((token) => (token ? services[known.indexOf(token)] : null));
    quietenManagers(app.serviceManager);
    hint.save = () => saveAll(app);
    saveOnWish(notebook, app);
    const modules = { ...apputils, ...widgets };
    add(app, commandsOf(modules, parts), modules, palette, mainMenu);
    life.listen(() => app.commands.notifyCommandChanged(TIME));
    awaitKernels(app);
    lead(app.commands, {
      'filemenu:shutdown': () => leave.byStopping(modules, notebook),
      'filemenu:logout': () => leave.toSession(notebook, hint),
    });
  };
  return { id: ID, description: 'Tells how long the notebook lasts.', autoStart: true, optional: known, activate };
};
