// As board/steps.py, on the WebAssembly port with its 32-bit words. Arguments: the port, and the
// folder with the scripted sockets. That port collects only once the outermost call has returned,
// so each step and each reading is a call of its own.

import fs from "fs";

const [port, stubs] = process.argv.slice(2);
const { loadMicroPython } = await import(port);
const mp = await loadMicroPython({ heapsize: 1024 * 1024 });

function copyTree(from, to) {
  mp.FS.mkdirTree(to);
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) copyTree(source, target);
    else mp.FS.writeFile(target, fs.readFileSync(source));
  }
}

function inUse() {
  mp.runPython("import gc, micropython\ngc.collect()");
  mp.runPython("gc.collect()");
  mp.runPython("micropython.qstr_info()\nprint('heap', gc.mem_alloc())");
}

copyTree(process.cwd(), "/lib");
copyTree(stubs, "/stubs");
try {
  mp.runPython("import os, sys\nos.chdir('/lib')\nsys.path[:] = ['/lib', '/stubs']\nimport sockets");
  inUse();
  for (const step of JSON.parse(fs.readFileSync("steps.json", "utf8"))) {
    mp.runPython(step);
    inUse();
  }
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
