// Loaded into the proxy before its own code, whose own pages have no policy, and whose error pages have
// nothing but the type of those that the orchestrator renders. Here they keep what theirs say, and the
// rest has the strictest. An address without sense is refused before the proxy fails at it, with the
// page that the orchestrator has for it.
"use strict";

const http = require("node:http");
const https = require("node:https");
const { given, onAnswer, onRequest, pathOf } = require("./proxied.cjs");

const { ClientRequest, ServerResponse, STATUS_CODES } = http;
const ERROR_TARGET = given("--error-target");
const SLOWEST_PAGE = 5_000; // milliseconds

const STRICTEST = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "origin-agent-cluster": "?1",
  "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};
const KEPT = [...Object.keys(STRICTEST), "content-language", "cross-origin-opener-policy", "retry-after"];

const answered = new WeakSet(); // what a server has answered to, so that the page is none of ours
let rendered = {}; // headers of the error page that the proxy is taking over right now

onAnswer(({ asked }) => answered.add(asked));

const { emit } = ClientRequest.prototype;
ClientRequest.prototype.emit = function (event, answer, ...others) {
  if (event !== "response") return emit.call(this, event, answer, ...others);
  rendered = answer.headers;
  try {
    return emit.call(this, event, answer, ...others);
  } finally {
    rendered = {};
  }
};

const { writeHead } = ServerResponse.prototype;
ServerResponse.prototype.writeHead = function (...words) {
  if (!this.headersSent && !answered.has(this.req)) {
    for (const name of KEPT) {
      const value = rendered[name] ?? STRICTEST[name];
      if (value !== undefined && !this.hasHeader(name)) this.setHeader(name, value);
    }
  }
  return writeHead.apply(this, words);
};

function pageFor(url) {
  const page = new URL(ERROR_TARGET);
  page.pathname = `${page.pathname.replace(/\/$/, "")}/400`;
  page.searchParams.set("url", url);
  return page;
}

function refuse(asked, answer) {
  const plainly = () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(400, { "Content-Type": "text/plain" }).end(STATUS_CODES[400]);
  };
  if (!URL.canParse(ERROR_TARGET)) return plainly();
  const headers = { accept: asked.headers.accept ?? "*/*" };
  const options = { headers, signal: AbortSignal.timeout(SLOWEST_PAGE) };
  const { get } = ERROR_TARGET.startsWith("https:") ? https : http;
  const question = get(pageFor(asked.url), options, (page) => {
    answer.writeHead(400, { "Content-Type": page.headers["content-type"] ?? "text/plain" });
    page.on("error", plainly).pipe(answer);
  });
  question.on("error", plainly);
  answer.once("close", () => question.destroy());
}

onRequest((event, asked, answer) => {
  if (pathOf(asked)) return false;
  if (event === "request") {
    refuse(asked, answer);
  } else {
    answer.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    answer.destroySoon();
  }
  return true;
});
