// Wait in line for a notebook: keep the place over a reload, and say when the turn has come.
'use strict';

const line = {
  KEY: 'tmpnb-ticket',
  PATIENCE: 20, // seconds that one question waits where events do not get through

  // The ticket of before a reload, or nothing. A foreign frame may have no storage.
  get ticket() {
    try {
      return sessionStorage.getItem(this.KEY) ?? '';
    } catch {
      return this.kept ?? '';
    }
  },

  set ticket(value) {
    this.kept = value;
    try {
      if (value) sessionStorage.setItem(this.KEY, value);
      else sessionStorage.removeItem(this.KEY);
    } catch {
      // then a reload of the frame is a new visitor
    }
  },

  // Call `tell` with each `{position, estimate}`; resolve with 'turn', with 'lost', with
  // 'silent' when events do not get through, or with 'replaced' when this is called again.
  wait(ticket, tell) {
    this.end?.('replaced');
    return new Promise((resolve) => {
      const events = new EventSource(`/wait/${ticket}`);
      let faults = 0;
      const end = (word) => {
        events.close();
        resolve(word);
      };
      this.end = end;
      events.onmessage = ({ data }) => {
        faults = 0;
        tell(JSON.parse(data));
      };
      events.onerror = () => {
        faults += 1;
        if (faults > 3 || events.readyState === EventSource.CLOSED) end('silent');
      };
      events.addEventListener('turn', () => end('turn'));
      events.addEventListener('lost', () => end('lost'));
    });
  },

  // "You are number 3 in line. That takes about 20 seconds." As `words` of estimate.py has it.
  words({ position, estimate }) {
    const place = position === 1 ? 'You are next.' : `You are number ${position} in line.`;
    if (estimate === null || estimate === undefined) return place;
    const minutes = Math.max(1, Math.round(estimate / 60));
    let about = minutes === 1 ? 'about a minute' : `about ${minutes} minutes`;
    if (estimate < 10) about = 'a few seconds';
    else if (estimate < 60) about = `about ${Math.round(estimate)} seconds`;
    return `${place} That takes ${about}.`;
  },
};
