// Keep the part of a link behind "#" over our forms: the server never sees it, browsers carry it on.
'use strict';

document.addEventListener('submit', ({ target }) => {
  const address = new URL(target.action);
  address.hash ||= location.hash;
  target.action = address;
});
