// Uploads a file as one of Node's clients would, and prints the status of the answer.
//
//     upload.mjs http|fetch URL FILE

import fs from "node:fs";
import http from "node:http";

const [client, url, path] = process.argv.slice(2);
const body = fs.readFileSync(path);

if (client === "fetch") {
  const answer = await fetch(url, { method: "POST", body });
  await answer.text();
  console.log(answer.status);
} else {
  const headers = { "Content-Length": body.length };
  const request = http.request(url, { method: "POST", headers }, (answer) => {
    answer.resume();
    console.log(answer.statusCode);
    answer.on("end", () => process.exit(0));
  });
  request.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  request.end(body);
}
