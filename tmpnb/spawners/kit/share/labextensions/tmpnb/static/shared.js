// Find a module that Jupyter's page shares with its extensions.

const newer = (one, other) => one.localeCompare(other, 'en', { numeric: true }) > 0;

// The page itself takes the version that is loaded already, else the newest.
const chosen = (versions) => Object.entries(versions).reduce((best, next) => {
  const [[was, { loaded: used }], [version, { loaded }]] = [best, next];
  if (Boolean(used) !== Boolean(loaded)) return loaded ? next : best;
  return newer(version, was) ? next : best;
})[1];

// Return what it exports; nothing if there is no such module.
export const moduleOf = async (scope, name) => {
  if (!Object.keys(scope?.[name] ?? {}).length) return {};
  return (await chosen(scope[name]).get())();
};
