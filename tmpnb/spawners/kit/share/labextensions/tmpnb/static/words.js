// Say how long a notebook lasts.

export const duration = (seconds) => {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return 'less than a minute';
  if (minutes < 90) return `${minutes} minute${minutes === 1 ? '' : 's'}`;
  return `${Math.round(minutes / 60)} hours`;
};

export const time = ({ ahead }, at) => new Date((at + ahead) * 1000)
  .toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

// Before the end; a life without limits has no outlook.
export const outlook = (life) => {
  if (!life.server) return '';
  const { left, keepable } = life.end();
  if (!Number.isFinite(left)) return '';
  return `closes in ${duration(left)}${keepable ? ' unless you use it' : ''}`;
};

export const afterKeeping = (life, status, before) => {
  if (status !== 200) return 'The service did not answer. Please try again.';
  const { at } = life.end();
  return at > before ? `Kept until ${time(life, at)}.` : 'It cannot be kept for longer.';
};
