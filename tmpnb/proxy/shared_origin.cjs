// Loaded into the proxy before its own code. Servers of many share one host with our own pages, and some
// of what one of them says is taken by browsers for all of that host, long after its end, or by a front
// server for itself. None of it passes; what concerns that one answer does. What is at the proxy's
// default target is our own, and says what it likes.
"use strict";

const { given, onAnswer, onRequest, pathOf } = require("./proxied.cjs");

const FOR_ALL_OF_THE_HOST = new Set([
  "accept-ch",
  "accept-ch-lifetime",
  "alt-svc",
  "clear-site-data",
  "critical-ch",
  "critical-origin-trial",
  "expect-ct",
  "expect-staple",
  "nel",
  "origin-agent-cluster",
  "origin-policy",
  "origin-trial",
  "public-key-pins",
  "public-key-pins-report-only",
  "report-to",
  "reporting-endpoints",
  "sec-session-challenge",
  "sec-session-registration",
  "secure-session-challenge",
  "secure-session-registration",
  "service-worker-allowed",
  "set-login",
  "strict-transport-security",
  "use-as-dictionary",
]);
// X-Accel-Redirect and its like; `X-Accel-Buffering` is about the one answer.
const FOR_A_FRONT = /^(x-accel-(?!buffering$)|x-(lighttpd-)?send-?file|x-litespeed-|x-reproxy-)/;

const HAS_HOSTS = process.argv.includes("--host-routing"); // one for each server
const OURS = hostOf(given("--default-target"));

function hostOf(url) {
  return URL.canParse(url) ? new URL(url).host : "";
}

// Return the path that a server has for itself, with both slashes; undefined if the request is for none.
function homeOf(path) {
  const found = /^\/*user\/([^/]+)/.exec(path);
  return found ? `/user/${encodeURIComponent(found[1])}/` : undefined;
}

// As browsers do: JavaScript's own `trim` takes more, and regular expressions take the square of a length.
function trimmed(text) {
  let [start, end] = [0, text.length];
  while (start < end && " \t".includes(text[start])) start += 1;
  while (end > start && " \t".includes(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

// Return a cookie that only its own server gets, whatever path and domain it was given.
function narrowed(cookie, home, raw) {
  const [pair, ...attributes] = cookie.split(";");
  let path = "";
  const kept = [pair];
  for (const attribute of attributes) {
    const [name, ...value] = attribute.split("=");
    const word = trimmed(name).toLowerCase();
    if (word === "domain") continue;
    if (word === "path" && !HAS_HOSTS) {
      path = trimmed(value.join("=")); // the last one counts
    } else {
      kept.push(attribute);
    }
  }
  if (HAS_HOSTS) return kept.join(";");
  if (!path.startsWith("/")) path = raw.startsWith(home) ? "" : home; // else that of the request
  if (path && path !== home.slice(0, -1) && !path.startsWith(home)) path = home;
  return path ? `${kept.join(";")}; Path=${path}` : kept.join(";");
}

onAnswer(({ answer: { headers }, asked, host }) => {
  if (OURS && host === OURS) return;
  for (const name of Object.keys(headers)) {
    if (FOR_ALL_OF_THE_HOST.has(name) || FOR_A_FRONT.test(name)) delete headers[name];
  }
  const { raw, path } = pathOf(asked);
  const home = homeOf(path);
  if (headers["set-cookie"] && home) {
    headers["set-cookie"] = headers["set-cookie"].map((cookie) => narrowed(cookie, home, raw));
  }
});

// A worker stands before what is below the folder of its script, and that of `/user/<id>` is `/user/`.
onRequest((event, asked, answer) => {
  if (event !== "request" || !["GET", "HEAD"].includes(asked.method)) return false;
  const { raw, path, search } = pathOf(asked) ?? { path: "" };
  const home = homeOf(path);
  if (!home || /^\/*[^/]+\/[^/]+\//.test(raw)) return false;
  const rest = path.replace(/^\/*user\/[^/]+\/*/, "").split("/").map(encodeURIComponent).join("/");
  answer.writeHead(302, { Location: `${home}${rest}${search}` }).end();
  return true;
});
