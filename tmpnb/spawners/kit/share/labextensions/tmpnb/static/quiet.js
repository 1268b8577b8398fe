// Once the server has ended, answer here what its page goes on asking, as the service would.

const CLOSED = 3; // readyState of a websocket
const ABNORMAL = 1006; // code of one that broke off

export const quieten = (notebook, life) => {
  const { fetch: ask, WebSocket: Socket } = window;

  const isBelow = (address) => {
    const { host, pathname } = new URL(address, location.href);
    return host === location.host && pathname.startsWith(notebook.base);
  };

  // What a person asks for by saving or by starting a kernel, and a page on its own account rarely.
  const isWanted = (address, method) => {
    const { pathname } = new URL(address, location.href);
    return method !== 'GET' || pathname.startsWith(`${notebook.base}api/contents/`);
  };

  // A kernel that is not found has gone, and JupyterLab says no more. All else that is not found it
  // looks for again, or asks about in a dialog that comes back.
  const refusal = (address) => {
    const { pathname } = new URL(address, location.href);
    const status = pathname.startsWith(`${notebook.base}api/kernels`) ? 404 : 410;
    const message = life.farewell;
    const body = JSON.stringify({ error: { code: 'server_ended', message }, message });
    return new Response(body, { status, headers: { 'Content-Type': 'application/json' } });
  };

  const overhear = async (answer) => {
    const isJson = answer.headers.get('Content-Type')?.startsWith('application/json');
    if (isJson && [404, 410].includes(answer.status)) life.overhear(await answer.clone().json());
  };

  window.fetch = async (...all) => {
    const [asked, { method } = {}] = all;
    const isWhole = asked instanceof Request;
    const address = isWhole ? asked.url : String(asked);
    if (!isBelow(address)) return ask(...all);
    const wanted = isWanted(address, method ?? (isWhole ? asked.method : 'GET'));
    if (life.over && !(wanted && await life.isBack())) return refusal(address);
    const answer = await ask(...all);
    overhear(answer).catch(() => {}); // then it tells nothing
    return answer;
  };

  class Refused extends EventTarget {
    readyState = CLOSED;
    bufferedAmount = 0;
    extensions = '';
    protocol = '';
    binaryType = 'blob';
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose = null;

    constructor(url) {
      super();
      this.url = String(url);
      setTimeout(() => {
        this.#happen(new Event('error'));
        this.#happen(new CloseEvent('close', { code: ABNORMAL }));
      });
    }

    #happen(event) {
      this[`on${event.type}`]?.(event);
      this.dispatchEvent(event);
    }

    send() {}

    close() {}
  }

  window.WebSocket = new Proxy(Socket, {
    construct(target, all, asked) {
      const [address] = all;
      const below = isBelow(address);
      if (below && life.over) return new Refused(address);
      const socket = Reflect.construct(target, all, asked);
      if (below) socket.addEventListener('close', () => life.over || life.soon());
      return socket;
    },
  });
};

// Notebook 7 has taken `WebSocket` before any extension is loaded: let those to come be ours.
export const quietenManagers = (manager) => {
  const parts = ['kernels', 'sessions', 'terminals', 'events', 'user', 'kernelspecs'].map((name) => manager[name]);
  for (const settings of [manager, ...parts].map((part) => part?.serverSettings)) {
    if (settings?.WebSocket) settings.WebSocket = window.WebSocket;
  }
};
