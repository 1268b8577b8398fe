// Loaded into the proxy before its own code. Node's `pipe` does not hand on that a server broke off in
// the middle of an answer, so the browser would wait without end for the rest of a download. Here the
// connection to the browser is closed too, and it says that the download has failed.
//
// Nor may a server say that a worker of its page stands before all of the host: such a worker would
// answer for our own pages in that browser, also after the server's end.
"use strict";

const { ClientRequest, IncomingMessage, ServerResponse } = require("node:http");
const { pipe } = IncomingMessage.prototype;
const { emit } = ClientRequest.prototype;

const WIDENS = "service-worker-allowed";

function breakOff(response) {
  if (response.req.httpVersion === "1.0" && response.socket) {
    response.socket.resetAndDestroy(); // there, an answer ends with its connection
  } else {
    response.destroy();
  }
}

IncomingMessage.prototype.pipe = function (destination, ...options) {
  if (destination instanceof ServerResponse) {
    this.once("close", () => this.complete || breakOff(destination));
  }
  return pipe.call(this, destination, ...options);
};

ClientRequest.prototype.emit = function (event, answer, ...others) {
  if (event === "response" || event === "upgrade") {
    delete answer.headers[WIDENS]; // what the proxy copies from
  }
  return emit.call(this, event, answer, ...others);
};
