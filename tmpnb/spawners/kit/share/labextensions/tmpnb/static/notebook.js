// Which notebook this page shows, and where the service tells of it.

const config = JSON.parse(document.getElementById('jupyter-config-data')?.textContent || '{}');
const base = new URL(config.baseUrl || '/', location.href).pathname;
const [, prefix, id] = /^(.*)\/user\/([\w-]{1,64})\/$/.exec(base) ?? [];
const { token } = config;
const query = `?token=${encodeURIComponent(token)}`;

// Nothing where the page is of no server of ours.
export const notebook = id && token ? {
  base,
  token,
  address: `${base}${query}`,
  service: `${prefix}/api/servers/${id}`,
  session: `${prefix}/session/${id}${query}`,
  channel: `tmpnb:${id}`, // on which its tabs and the page beside it speak
} : null;
