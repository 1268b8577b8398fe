// Loaded into the proxy before its own code, which sets no bounds on who connects. Headers have to be
// whole in time; a body may take as long as it goes on. Before the proxy runs out of files, and can reach
// no server any more, the connection that has been awaiting a request for longest makes place for the
// newcomer, one whose body comes quickly after all others; websockets, and requests that are whole, stay.
// Who asks for more before there is an answer takes a connection to a server with each request. So there
// are few of those, they count, and who sends them makes place too. Nor does what it keeps open to servers
// for the next request stay for ever.
"use strict";

const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { SWITCHED, given } = require("./proxied.cjs");

const SLOWEST_HEADERS = 20_000; // milliseconds
const IDLE = 150_000; // milliseconds; who is before us keeps connections for up to 120 s
const QUICK = 8 * 1024; // bytes of a body between two looks
const LEAST = 1024; // bytes of a body between the looks of a minute
const SLOW_LOOKS = 12; // at a body that brought less, a minute
const HELD_LOOKS = 60; // at one that its server does not take, five minutes
const UNUSED = 10_000; // milliseconds that a connection to a server is kept for the next request
const LOOK = 5_000; // milliseconds between two looks at who is too slow
const RESERVE = 64; // files that are no connections
const SIDES = 2; // of a connection: the client, and the server that it is led to
const UNANSWERED = 8; // requests that a connection may have; browsers wait for each answer
const LAST_WORDS = "Connection: close\r\nContent-Length: 0\r\n\r\n";

function most() {
  try {
    const files = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))[1];
    return Math.max(1, Math.floor((files - RESERVE) / SIDES));
  } catch {
    return Infinity; // no Linux, or no limit
  }
}

// Look at a body until it is whole or its connection has ended; end it if it does not go on.
function watch(request, response, onQuick) {
  const { socket } = request;
  let [seen, marked, looks, held, timer] = [socket.bytesRead, socket.bytesRead, 0, 0, undefined];

  function look() {
    const { bytesRead } = socket;
    if (bytesRead - seen >= QUICK) onQuick();
    seen = bytesRead;
    const isHeld = request.isPaused() && !response.writableEnded;
    if (bytesRead - marked >= LEAST) [marked, looks, held] = [bytesRead, 0, 0];
    else if (isHeld) held += 1;
    else looks += 1;
    if (looks < SLOW_LOOKS && held < HELD_LOOKS) {
      timer = setTimeout(look, LOOK);
    } else if (response.headersSent || socket.writableLength) {
      socket.destroy();
    } else {
      const status = isHeld ? "504 Gateway Timeout" : "408 Request Timeout";
      socket.end(`HTTP/1.1 ${status}\r\n${LAST_WORDS}`, () => socket.destroy());
    }
  }

  timer = setTimeout(look, LOOK);
  for (const event of ["end", "close"]) request.once(event, () => clearTimeout(timer));
  socket.once("close", () => clearTimeout(timer));
}

// Hang up on who has too many requests without an answer, or another one while `isFull` says so. Node goes on
// with those that it has read already, so they end here, before any script or the proxy sees them.
function boundPipelines(server, isFull) {
  const unanswered = new WeakMap(); // the answers that a connection awaits
  const pipelines = { beside: 0, isOne: (socket) => answersTo(socket).size > 1 };

  function answersTo(socket) {
    let answers = unanswered.get(socket);
    if (answers) return answers;
    answers = new Set();
    unanswered.set(socket, answers);
    socket.once("close", () => {
      pipelines.beside -= Math.max(0, answers.size - 1);
      const left = [...answers];
      answers.clear();
      for (const answer of left) {
        // Node says so only of the one that is next, and the proxy would keep asking for the others.
        if (!answer.socket && !answer.writableFinished) answer.emit("close");
      }
    });
    return answers;
  }

  function takes(socket, answer) {
    const answers = answersTo(socket);
    if (socket.destroyed || answers.size >= UNANSWERED || (answers.size && isFull())) return false;
    if (answers.size) pipelines.beside += 1;
    answers.add(answer);
    answer.once("close", () => {
      if (answers.delete(answer) && answers.size) pipelines.beside -= 1;
    });
    return true;
  }

  const { emit } = server;
  server.emit = function (event, request, ...others) {
    if (event !== "request" || takes(request.socket, others[0])) {
      return emit.call(this, event, request, ...others);
    }
    request.socket.destroy();
    return true;
  };
  return pipelines; // `beside` are the requests without an answer that are not the first of a connection
}

function bound(server) {
  const open = new Set();
  const awaited = new Set(); // those of `open` that a request is awaited from, oldest first
  const limit = most();
  const isFull = () => open.size + pipelines.beside >= limit;
  const pipelines = boundPipelines(server, isFull);

  function forget(socket) {
    open.delete(socket);
    awaited.delete(socket);
  }

  server.headersTimeout = SLOWEST_HEADERS;
  server.requestTimeout = 0; // Node's own would be for the whole body, however quickly it comes
  if (!given("--keep-alive-timeout")) server.keepAliveTimeout = IDLE;
  server.connectionsCheckingInterval = LOOK;
  server.on(server instanceof https.Server ? "secureConnection" : "connection", (socket) => {
    if (isFull()) {
      const [oldest = socket] = awaited;
      forget(oldest);
      oldest.destroy();
    }
    if (socket.destroyed) return;
    open.add(socket);
    awaited.add(socket);
    socket.once("close", () => forget(socket));
  });
  server.prependListener("request", (request, response) => {
    const { headers, socket } = request;
    const last = () => {
      awaited.delete(socket);
      if (open.has(socket)) awaited.add(socket);
    };
    const stay = () => (pipelines.isOne(socket) ? open.has(socket) && awaited.add(socket) : awaited.delete(socket));
    if (headers["content-length"] > 0 || headers["transfer-encoding"]) {
      request.once("end", () => response.writableEnded || stay());
      watch(request, response, last);
    } else {
      stay();
    }
    response.once("close", last); // for its next request
  });
  if (server.listenerCount("upgrade")) {
    server.prependListener("upgrade", ({ socket }) => {
      socket.once(SWITCHED, () => awaited.delete(socket));
    });
  }
}

for (const { Server } of [http, https]) {
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...words) {
    bound(this);
    return listen.apply(this, words);
  };
}

const { keepSocketAlive } = http.Agent.prototype;
http.Agent.prototype.keepSocketAlive = function (socket) {
  const keeps = keepSocketAlive.call(this, socket);
  socket.setTimeout(UNUSED); // Node ends it then, unless it is in use
  return keeps;
};
