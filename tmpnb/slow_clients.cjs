// Loaded into the proxy before its own code, which sets no bounds on who connects. Headers have to be
// whole in time. Before the proxy runs out of files, and can reach no server any more, the connection
// that has been awaiting a request for longest makes place for the newcomer; websockets, and requests
// that are whole, stay. Nor does what it keeps open to servers for the next request stay for ever.
"use strict";

const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { SWITCHED } = require("./proxied.cjs");

const SLOWEST_HEADERS = 20_000; // milliseconds
const UNUSED = 10_000; // milliseconds that a connection to a server is kept for the next request
const LOOK = 5_000; // milliseconds between two looks at who is too slow
const RESERVE = 64; // files that are no connections
const SIDES = 2; // of a connection: the client, and the server that it is led to

function most() {
  try {
    const files = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))[1];
    return Math.max(1, Math.floor((files - RESERVE) / SIDES));
  } catch {
    return Infinity; // no Linux, or no limit
  }
}

function bound(server) {
  const open = new Set();
  const awaited = new Set(); // those of `open` that a request is awaited from, oldest first
  const limit = most();

  function forget(socket) {
    open.delete(socket);
    awaited.delete(socket);
  }

  server.headersTimeout = SLOWEST_HEADERS;
  server.connectionsCheckingInterval = LOOK;
  server.on(server instanceof https.Server ? "secureConnection" : "connection", (socket) => {
    if (open.size >= limit) {
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
    if (headers["content-length"] > 0 || headers["transfer-encoding"]) {
      request.once("end", () => awaited.delete(socket));
    } else {
      awaited.delete(socket);
    }
    response.once("close", () => {
      awaited.delete(socket);
      if (open.has(socket)) awaited.add(socket); // for its next request
    });
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
