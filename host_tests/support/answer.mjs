// Runs what comes on stdin, a line of JSON each, {"code": the body of an async function}, in which the
// names of `scope` are known, and answers with {"value"} or {"error"}. Bytes are {"base64"} on the way
// out. See javascript.py.

import { createInterface } from "node:readline";

// (A Buffer has made itself something else by the time that it is given as the value.)
function plain(key, value) {
    const bytes = this[key];
    return bytes instanceof Uint8Array ? { base64: Buffer.from(bytes).toString("base64") } : value;
}
const AsyncFunction = (async () => {}).constructor;

export async function answer(scope) {
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
}
