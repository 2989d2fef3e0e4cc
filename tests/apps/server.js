// The application behind node: every request is answered with who answered.
"use strict";
const http = require("node:http");

const [host, port] = process.argv.slice(2);
http
  .createServer((request, response) => response.end(`node ${port} ${request.url}`))
  .listen(Number(port), host);
