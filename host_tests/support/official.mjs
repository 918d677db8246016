// The official JavaScript clients as the other side: see javascript.py. Runs what comes on stdin, a
// line of JSON each, {"code": the body of an async function}, and answers with {"value"} or {"error"}.
// Bytes are {"base64"} on the way out; `bytes(text)` makes them of base64.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const [modules, url] = process.argv.slice(2);
const require = createRequire(modules + "/");
const scope = {};
for (const name of ["transport-node", "jetstream", "kv", "obj", "services"]) {
    scope[name.replace("transport-node", "transport")] = require("@nats-io/" + name);
}
scope.nc = await scope.transport.connect({ servers: url });
scope.js = scope.jetstream.jetstream(scope.nc);
scope.bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
scope.read = (path) => new Uint8Array(readFileSync(path));
scope.kept = {}; // what one line leaves for the next
scope.all = async (items) => { const found = []; for await (const item of items) found.push(item); return found; };

// (A Buffer has made itself something else by the time that it is given as the value.)
function plain(key, value) {
    const bytes = this[key];
    return bytes instanceof Uint8Array ? { base64: Buffer.from(bytes).toString("base64") } : value;
}
const AsyncFunction = (async () => {}).constructor;

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
        const run = new AsyncFunction(...Object.keys(scope), JSON.parse(line).code);
        answer = { value: (await run(...Object.values(scope))) ?? null };
    } catch (error) {
        answer = { error: `${error.name}: ${error.message}` };
    }
    console.log(JSON.stringify(answer, plain));
}
await scope.nc.close();
