// Runs scripts on MicroPython with 32-bit words (the WebAssembly port, under Node.js):
//
//     build/npm/node tools/wasm.mjs [--heap=BYTES] SCRIPT... [-- ARGUMENT...]
//     build/npm/node tools/wasm.mjs [--heap=BYTES] --suite=NAME
//
// The scripts run one after another in one interpreter, in one __main__; a suite is a module of
// host_tests/device. Each finds firmware/ and host_tests/device/ as they are in the repository,
// lib/ in the plain flavour (without the decorators that ask for machine code, which are a
// SyntaxError here), and unittest. The exit code is the verdict: 0, or 1 after an exception, or
// what sys.exit() was given.
//
// Facts of this port: gc.collect() only takes effect between two scripts, so gc.mem_alloc() counts
// everything allocated since this one began; --heap is what the heap starts with, it grows when
// needed; there are no sockets and no emitters; an exception that leaves the heap locked hangs.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const PORT = 'build/npm/node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs';
const TREES = { '/lib': 'lib', '/firmware': 'firmware', '/device': 'host_tests/device', '/unittest': 'build/unittest' };

// The port looks each C function up in WebAssembly's table whenever it calls one by its pointer, only
// to assert that it has the right one: a quarter of its time. What was found stays until something
// is put there.
const { get, set } = WebAssembly.Table.prototype;
const found = [];
WebAssembly.Table.prototype.get = function (i) {
    return found[i] ?? (found[i] = get.call(this, i));
};
WebAssembly.Table.prototype.set = function (i, ...f) {
    found[i] = undefined;
    return set.call(this, i, ...f);
};

function parse(words) {
    const options = { heap: 1024 * 1024, suite: null, scripts: [], args: [] };
    const end = words.indexOf('--');
    if (end >= 0) options.args = words.splice(end).slice(1);
    for (const word of words) {
        const [name, value] = word.split('=', 2);
        if (name === '--heap' && value > 0) options.heap = Number(value);
        else if (name === '--suite' && value) options.suite = value;
        else if (word.startsWith('-')) throw new Error(`unknown option ${word}`);
        else options.scripts.push(word);
    }
    if (!options.suite === !options.scripts.length) throw new Error('say which scripts, or which suite');
    return options;
}

const NATIVE = /^([ \t]*)@(micropython\.)?(viper|native)[ \t]*(#.*)?$/gm;  // as in toolchain.py

// Copies the Python sources below `from` on this machine to `to` in the interpreter's file system.
function copyTree(FS, from, to) {
    if (!FS.analyzePath(to).exists) FS.mkdir(to);
    for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
        const source = path.join(from, entry.name);
        if (entry.isDirectory() && entry.name !== '__pycache__') copyTree(FS, source, `${to}/${entry.name}`);
        else if (entry.name.endsWith('.py') && to.startsWith('/lib')) {
            FS.writeFile(`${to}/${entry.name}`, fs.readFileSync(source, 'utf8').replace(NATIVE, '$1'));
        } else if (/\.(py|mpy)$/.test(entry.name)) FS.writeFile(`${to}/${entry.name}`, fs.readFileSync(source));
    }
}

// Runs Python and gives its exit code.
function run(micropython, code) {
    try {
        micropython.runPython(code);
        return 0;
    } catch (error) {
        if (error.name !== 'PythonError') throw error;
        const wanted = error.type === 'SystemExit' && /SystemExit(: (\d+|None)?)?\s*$/.exec(error.message);
        if (wanted) return Number(wanted[2] ?? 0) || 0;
        process.stderr.write(error.message);
        return 1;
    }
}

async function main() {
    const options = parse(process.argv.slice(2));
    const port = path.join(ROOT, PORT);
    if (!fs.existsSync(port)) throw new Error(`${PORT} is missing: make env`);
    const { loadMicroPython } = await import(port);
    const write = (stream) => (data) => stream.write(data);
    const micropython = await loadMicroPython({
        heapsize: options.heap, linebuffer: false, stdout: write(process.stdout), stderr: write(process.stderr),
    });
    for (const [to, from] of Object.entries(TREES)) {
        const source = path.join(ROOT, from);
        if (fs.existsSync(source)) copyTree(micropython.FS, source, to);
    }
    run(micropython, `import sys
sys.path[:] = ["/lib", "/firmware", "/device/programs", "/device/support", "/device", "/unittest", ".frozen"]
sys.argv[:] = ${JSON.stringify([options.scripts[0] ?? '', ...options.args])}`);
    if (options.suite) return run(micropython, `import unittest\nunittest.main("${options.suite}")`);
    for (const script of options.scripts) {
        const code = run(micropython, fs.readFileSync(script, 'utf8'));
        if (code !== 0) return code;
    }
    return 0;
}

main().then((code) => { process.exitCode = code; }, (error) => {
    console.error(`wasm: ${error.message.slice(0, 2000)}`);
    process.exitCode = 2;
});
