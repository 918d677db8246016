// Unpacks the browser of the npm package @sparticuz/chromium, with the libraries and fonts that it
// brings, so that it runs on a machine that has none of them: node unpack.mjs FOLDER, in which the
// package is. Afterwards FOLDER/chromium is the program; see host_tests/support/browser.py.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

const folder = process.argv[2];
const packed = path.join(folder, "node_modules/@sparticuz/chromium/bin");
const read = (name) => zlib.brotliDecompressSync(fs.readFileSync(path.join(packed, name)));

fs.writeFileSync(path.join(folder, "chromium"), read("chromium.br"), { mode: 0o755 });
for (const name of ["al2023", "fonts", "swiftshader"]) {
  execFileSync("tar", ["x", "-C", folder], { input: read(`${name}.tar.br`) });
}
fs.rmSync(packed, { recursive: true });
