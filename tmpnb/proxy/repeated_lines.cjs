// Loaded into the proxy before its own code. A fault that it prints again and again, but for times,
// addresses and paths, is printed once, and then how often it came: a page that waits asks every two
// seconds.
"use strict";

const SPAN = 60_000; // milliseconds that repeats are counted for
const MOST = 200; // faults that are told apart at a time; past it, as many by their last words alone
const LONGEST = 300; // characters that tell them apart

const PATH = "<path>"; // instead of each
const FAULT = /^\S+ \[\w+\] \S*(?:error|warn)\S*: /;

const faults = new Map(); // what is printed again, by its kind

// Visitors choose what is in a line, so each pattern passes over it once, whatever it is.
function kindOf(text) {
  return text
    .replace(/^\S+/, "")
    .replace(/ (?:[a-z][a-z0-9+.-]*:\/\/|[/*])[^ \n]*/gi, ` ${PATH}`)
    .slice(0, LONGEST)
    .replace(/[0-9a-f.:[\]]+/gi, (run) => (/[.:]/.test(run) && /\d/.test(run) ? "<address>" : run))
    .replace(/\d{4,}/g, "<number>");
}

// Return what it is known by: less of it when there are many, and nothing when there are too many.
function knownAs(text) {
  const kind = kindOf(text);
  if (faults.has(kind) || faults.size < MOST) return kind;
  const [, ...words] = kind.split(PATH);
  const rest = words.join(PATH).trim();
  return faults.has(rest) || faults.size < 2 * MOST ? rest : "";
}

// Returns whether it is to be printed.
function isFirst(text) {
  const kind = knownAs(text);
  const fault = faults.get(kind);
  if (fault) {
    fault.more += 1;
    return false;
  }
  faults.set(kind, { text, more: 0 });
  setTimeout(tell, SPAN, kind).unref();
  return true;
}

function tell(kind) {
  const fault = faults.get(kind);
  if (!fault) return;
  faults.delete(kind);
  if (fault.more === 0) return;
  say(fault);
  faults.set(kind, { text: fault.text, more: 0 }); // it goes on, so the next is not the first
  setTimeout(tell, SPAN, kind).unref();
}

function say({ text, more }) {
  const [first] = text.split("\n", 1);
  const now = new Date().toISOString();
  print(`${first.trimEnd().replace(/^\S+/, now)} … ${more} more like it within ${SPAN / 1000} s\n`);
}

// Where nobody reads them any more, as when an orchestrator was killed, lines are lost. Without this
// the proxy would print that it cannot print, without end.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

const print = process.stdout.write.bind(process.stdout);

process.stdout.write = function (text, ...words) {
  if (typeof text !== "string" || !FAULT.test(text) || isFirst(text)) return print(text, ...words);
  const done = words.at(-1);
  if (typeof done === "function") process.nextTick(done);
  return true;
};

process.on("exit", () => {
  for (const fault of faults.values()) if (fault.more > 0) say(fault);
});
