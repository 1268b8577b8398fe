// Put the parts together, before Jupyter's page takes `fetch` and `WebSocket` for its own.
import { Hint } from './hint.js';
import { Life } from './life.js';
import { pluginOf } from './menu.js';
import { notebook } from './notebook.js';
import { quieten } from './quiet.js';

if (notebook) {
  const life = new Life(notebook);
  quieten(notebook, life);
  const hint = new Hint(notebook, life);
  life.begin();
  // What is added to JupyterLab or Notebook 7, whose modules are in `scope`.
  window._JUPYTERLAB.tmpnb.plugins = async (scope) => [await pluginOf(scope, { notebook, life, hint })];
}
