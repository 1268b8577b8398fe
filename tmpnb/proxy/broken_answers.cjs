// Loaded into the proxy before its own code. Node's `pipe` does not hand on that a server broke off in
// the middle of an answer, so the browser would wait without end for the rest of a download. Here the
// connection to the browser is closed too, and it says that the download has failed.
//
// An answer to a request to switch protocols is not piped at all. It waits here for those who do not
// read it, as others do, and breaks off like them.
"use strict";

const { IncomingMessage, ServerResponse } = require("node:http");
const { onAnswer } = require("./proxied.cjs");
const { pipe } = IncomingMessage.prototype;

function breakOff({ httpVersion, socket }, close) {
  if (httpVersion === "1.0" && socket) {
    socket.resetAndDestroy(); // there, an answer ends with its connection
  } else {
    close();
  }
}

IncomingMessage.prototype.pipe = function (destination, ...options) {
  if (destination instanceof ServerResponse) {
    const close = () => destination.destroy();
    this.once("close", () => this.complete || breakOff(destination.req, close));
  }
  return pipe.call(this, destination, ...options);
};

onAnswer(({ event, answer, asked }) => {
  if (event !== "response" || !asked.upgrade) return;
  const { socket } = asked;
  answer.on("data", () => {
    if (!socket.writableNeedDrain) return;
    answer.pause();
    socket.once("drain", () => answer.resume());
  });
  answer.once("close", () => answer.complete || breakOff(asked, () => socket.destroy()));
});
