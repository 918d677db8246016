// The official JavaScript clients as the other side: see javascript.py. `bytes(text)` makes bytes of
// base64.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { answer } from "./answer.mjs";

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

await answer(scope);
await scope.nc.close();
