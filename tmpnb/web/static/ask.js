// Ask the service for a notebook, with what the form of this page says.
'use strict';

{
  const DEADLINE = 60; // seconds for one answer

  // Whether JupyterLab's columns have no room here: in a frame, on a phone upright or on its side.
  const isSmall = () => window.top !== window.self
    || matchMedia('(max-width: 767px), (max-height: 479px)').matches;

  // Resolve with the status, the body, and the seconds until a next question is welcome.
  tmpnb.ask = async (form, patience) => {
    const signal = AbortSignal.timeout(DEADLINE * 1000);
    const headers = { Accept: 'application/json', 'X-Tmpnb-Ask': '1' }; // we can show the question
    // The terms agreed to, and the proof of a server: no cookie may say so.
    const { agree, fresh, token, server } = form.elements;
    const place = new URLSearchParams({ ticket: line.ticket, wait: patience, small: Number(isSmall()) });
    if (fresh && !line.ticket) place.set('fresh', fresh.value); // once: it ends what there is
    for (const field of [agree, token, server]) if (field) place.set(field.name, field.value);
    const answer = await fetch(form.action, { method: 'POST', headers, body: place, signal });
    const body = (await answer.json().catch(() => null)) ?? {};
    const asked = Number(body.retry_after ?? answer.headers.get('Retry-After')) || 5;
    return { code: answer.status, body, asked };
  };
}
