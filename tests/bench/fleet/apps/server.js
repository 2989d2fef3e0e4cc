// The application behind node: bodies come and go beside others, work holds the event loop.
// It writes the lines that work.py describes, and ends after MAX_REQUESTS.
"use strict";
const fs = require("node:fs");
const http = require("node:http");

const journal = fs.openSync(process.env.JOURNAL, "a");
const index = Number(process.env.INDEX);
const limit = Number(process.env.MAX_REQUESTS || "0");
const pause = new Int32Array(new SharedArrayBuffer(4));
let served = 0;

const now = () => (Number(process.hrtime.bigint()) / 1e9).toFixed(6);
const note = (...words) => fs.writeSync(journal, [index, process.pid, ...words].join(" ") + "\n");
const hold = (milliseconds) => milliseconds > 0 && Atomics.wait(pause, 0, 0, milliseconds);

function serve(request, response) {
  const began = now();
  const asked = new URL(request.url, "http://app");
  const number = (key, otherwise) => Number(asked.searchParams.get(key) || otherwise);
  hold(number("ms", 0) * (index === 0 ? number("slow", 1) : 1));
  const id = asked.pathname.split("/").pop();
  if (/^\d+$/.test(id)) note(id, began, now());
  served += 1;
  const last = limit > 0 && served >= limit;
  const answer = Buffer.alloc(number("bytes", 100), "x");
  response.writeHead(200, { "Content-Length": answer.length, ...(last && { Connection: "close" }) });
  response.end(answer);
  if (last && server.listening) {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  }
}

const server = http.createServer((request, response) => {
  request.on("end", () => serve(request, response)).resume();
});
hold(1000 * Number(process.env.COLD || "0"));
server.listen(Number(process.env.PORT), "127.0.0.1", () => note("ready", now()));
