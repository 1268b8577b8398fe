// Loaded into the proxy before its own code. A connection that asks to switch protocols is in nobody's
// care until a server has agreed, and half of it is in nobody's when one side has gone. Here it ends
// with whoever leaves it, and in time. Who asks for anything but a websocket is answered in HTTP/1.1, as
// if nothing had been asked; the proxy would hang up without a word.
"use strict";

const http = require("node:http");
const https = require("node:https");
const { SWITCHED, ledTo, onAnswer, onLed, onRequest } = require("./proxied.cjs");

const SLOWEST_SWITCH = 120_000; // milliseconds; Jupyter waits for a kernel for 60 seconds
const LINGER = 10_000; // milliseconds for one side once the other has ended
const WANTED = Symbol("Node's own word: the client asks to switch");
const NO_TUNNEL =
  "HTTP/1.1 405 Method Not Allowed\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n" +
  "Connection: close\r\nContent-Length: 0\r\n\r\n";

// Node asks it whether to read on in HTTP, once it has the headers.
class Asked extends http.IncomingMessage {
  get upgrade() {
    if (!this[WANTED] || this.method === "CONNECT") return this[WANTED];
    this.switches ??= this.method === "GET" && this.headers.upgrade?.toLowerCase() === "websocket";
    return this.switches;
  }

  set upgrade(wanted) {
    this[WANTED] = wanted;
  }
}

for (const protocol of [http, https]) {
  const { createServer } = protocol;
  protocol.createServer = function (...words) {
    const options = typeof words[0] === "object" ? words.shift() : {};
    const server = createServer.call(this, { IncomingMessage: Asked, ...options }, ...words);
    return server.on("connect", (_, socket) => {
      socket.on("error", () => {});
      socket.setTimeout(LINGER, () => socket.destroy());
      socket.end(NO_TUNNEL, () => socket.destroy());
    });
  };
}

// What is between the client and us is not for the server: it might switch.
onRequest((event, { headers }) => {
  if (event !== "request" || !headers.upgrade) return;
  const kept = headers.connection?.split(",").filter((word) => /^\s*(close|keep-alive)\s*$/i.test(word));
  delete headers.upgrade;
  delete headers["http2-settings"];
  delete headers.connection;
  if (kept?.length) headers.connection = kept.join(",");
});

function abandon(asked) {
  const request = ledTo(asked);
  if (!request) return;
  request.removeAllListeners("error"); // nobody is there to be told
  request.on("error", () => {});
  request.destroy();
}

// What is said before a server was asked is an error of the proxy, which does not hang up after it.
function endAfterRefusal(asked, socket) {
  const { write } = socket;
  socket.write = function (...words) {
    delete socket.write;
    const done = write.apply(socket, words);
    if (!ledTo(asked)) socket.destroySoon();
    return done;
  };
}

// Of a connection that breaks off, the proxy makes an exception that nobody catches.
function breakOffInPeace(socket) {
  const { emit } = socket;
  socket.emit = function (event, ...words) {
    if (event !== "error") return emit.call(this, event, ...words);
    try {
      return emit.call(this, event, ...words);
    } catch (error) {
      if (error !== words[0]) throw error;
      return true;
    }
  };
}

onRequest((event, asked) => {
  if (event !== "upgrade") return;
  const { socket } = asked;
  const hangUp = () => socket.destroy();
  const leave = () => abandon(asked);
  const limit = setTimeout(hangUp, SLOWEST_SWITCH);
  socket.once("close", leave);
  socket.once("close", () => clearTimeout(limit));
  socket.once("end", hangUp); // who asked has left before there was an answer
  socket.once(SWITCHED, () => {
    clearTimeout(limit);
    socket.removeListener("close", leave);
    socket.removeListener("end", hangUp);
  });
  endAfterRefusal(asked, socket);
  breakOffInPeace(socket);
});

// Node itself would hang up on a server that switches unasked, and tell nobody.
onLed((request, asked) => {
  if (asked.upgrade) return;
  request.once("upgrade", (_, server) => {
    server.destroy();
    request.emit("error", new Error("the server has switched protocols, and nobody had asked"));
  });
});

onAnswer(({ event, asked: { socket }, other: server }) => {
  if (event !== "upgrade") return;
  const hasten = () => {
    for (const side of [socket, server]) side.setTimeout(LINGER, () => side.destroy());
  };
  for (const side of [socket, server]) side.once("end", hasten);
  server.once("close", hasten);
  socket.once("close", () => {
    const limit = setTimeout(() => server.destroy(), LINGER); // whatever it still says
    server.once("close", () => clearTimeout(limit));
  });
});
