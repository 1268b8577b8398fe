// Loaded into the proxy by the scripts beside it: what it is asked, what it asks servers for that, and
// what they answer. The proxy copies the headers of the one request into the other, and with them a
// mark that is no header, and is not sent.
"use strict";

const http = require("node:http");
const https = require("node:https");

const ASKED = Symbol("the request of the client");
const SWITCHED = Symbol("a server has agreed to switch protocols"); // an event of the client's socket

const askers = new WeakMap(); // the client's request for each request to a server
const led = new WeakMap(); // and the other way round
const onRequests = [];
const onLeds = [];
const onAnswers = [];

for (const { Server } of [http, https]) {
  const { emit } = Server.prototype;
  Server.prototype.emit = function (event, request, ...others) {
    if (event === "request" || event === "upgrade") {
      request.headers[ASKED] = request;
      if (onRequests.some((answers) => answers(event, request, ...others))) return true;
    }
    return emit.call(this, event, request, ...others);
  };
}

for (const protocol of [http, https]) {
  const { request } = protocol;
  protocol.request = function (options, ...others) {
    const made = request.call(this, options, ...others);
    const asked = options.headers?.[ASKED];
    if (asked) {
      askers.set(made, { asked, host: options.host });
      led.set(asked, made);
      for (const sees of onLeds) sees(made, asked);
    }
    return made;
  };
}

const { emit } = http.ClientRequest.prototype;
http.ClientRequest.prototype.emit = function (event, answer, ...others) {
  if (event === "response" || event === "upgrade") {
    const { asked, host } = askers.get(this) ?? {};
    if (asked && (event === "response" || asked.upgrade)) {
      for (const looks of onAnswers) looks({ event, answer, asked, host, other: others[0] });
      if (event === "upgrade") asked.socket.emit(SWITCHED, others[0]);
    }
  }
  return emit.call(this, event, answer, ...others);
};

module.exports = {
  SWITCHED,
  // Called with "request" or "upgrade", the request, and its answer or socket, before the proxy is;
  // returns whether it has answered, and the proxy shall not.
  onRequest: (answers) => onRequests.push(answers),
  // Called with a request to a server, and that of the client it is for.
  onLed: (sees) => onLeds.push(sees),
  // Called with an answer of a server, before the proxy copies from it, and the request it is for.
  onAnswer: (looks) => onAnswers.push(looks),
  // Return the request to a server that was made for a client's; undefined before there is one.
  ledTo: (asked) => led.get(asked),
  // Return the value of a flag in the proxy's command line; empty if it is not there.
  given: (flag) => {
    const words = process.argv;
    const at = words.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`));
    if (at < 0) return "";
    return words[at] === flag ? words[at + 1] : words[at].slice(flag.length + 1);
  },
  // Return a path as the proxy looks for its route; undefined if there is no sense in it.
  pathOf: ({ url }) => {
    try {
      const { pathname, search } = new URL(url, "http://any.invalid");
      return { raw: pathname, path: decodeURIComponent(pathname), search };
    } catch {
      return undefined;
    }
  },
};
