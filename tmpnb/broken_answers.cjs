// Loaded into the proxy before its own code. Node's `pipe` does not hand on that a server broke off in
// the middle of an answer, so the browser would wait without end for the rest of a download. Here the
// connection to the browser is closed too, and it says that the download has failed.
"use strict";

const { IncomingMessage, ServerResponse } = require("node:http");
const { pipe } = IncomingMessage.prototype;

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
