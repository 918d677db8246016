# Every target makes what it needs; nothing has to be set up before.

PYTHON ?= python3
PY = build/venv/bin/python
BASE = build/base.stamp
BENCH = build/bench.stamp
VALGRIND = build/valgrind.stamp
PAGE = build/page.stamp
BROWSER = build/browser.stamp
HOME_ASSISTANT = build/homeassistant.stamp

.PHONY: help env run bridge lint format test soak bench wire size package dist deploy fleet credentials update web repl clean
.DELETE_ON_ERROR:

help:
	@echo 'make run      simulated boards against a real server   [SECONDS=10] [DEVICES=20] [OUTAGE=0] [SECURE=1] [WEB=1] [SERVER=nats://host:4222] [PERIOD=1] [HEAP=192K]'
	@echo 'make lint     style and spelling: ruff, and codespell'
	@echo 'make format   the one formatter, over everything'
	@echo 'make test     lint, and all tests but the long ones    [ARGS="-k name"]'
	@echo 'make soak     the long tests                           [ARGS=...]'
	@echo 'make bench    instructions, heap, rates; beside others   [ARGS=--full]'
	@echo 'make wire     round trips, segments and bytes of a wake, against umqtt.simple'
	@echo 'make size     code lines, flash and heap per module    [ARGS=...]'
	@echo 'make dist     what a release is made of, in build/dist'
	@echo 'make package  package.json after a file of lib/unats has come or gone, READMEs after an example has changed'
	@echo 'make deploy   client and application onto a board      PORT=/dev/ttyACM0 [SOURCES=1] [DEVICE=greenhouse-7]'
	@echo 'make fleet    identities and a server for a fleet       DEVICES="greenhouse-7 greenhouse-8" HOST=192.168.1.10 [DIR=fleet]'
	@echo 'make credentials  a device'"'"'s, onto its board           PORT=/dev/ttyACM0 DEVICE=greenhouse-7 [DIR=fleet]'
	@echo 'make update   client and application by the server, onto boards of a fleet   [DEVICE="greenhouse-7 ..."] [VERSION=1.3.0] [STAGES=1,10,100] [DIR=fleet]'
	@echo 'make web      a page that shows a fleet               SERVER=ws://host:8080 [CREDS=web.creds] [WEB_PORT=8000]'
	@echo 'make repl     the board'"'"'s prompt                       PORT=/dev/ttyACM0'
	@echo 'make bridge   boards on serial lines, on to a server    PORT="/dev/ttyACM0 /dev/ttyUSB0" SERVER=nats://host:4222 [BAUD=115200] [CA=ca.pem]'
	@echo 'make env      the environment in build/, which the others make by themselves'
	@echo 'make clean    remove everything made'

env: $(BASE)
	@:

$(BASE): tools/env.sh tools/requirements.txt
	@PYTHON='$(PYTHON)' tools/env.sh base

$(BENCH): $(BASE) tools/requirements-bench.txt
	@PYTHON='$(PYTHON)' tools/env.sh bench

$(PAGE) $(BROWSER) $(HOME_ASSISTANT): $(BASE) tools/env.sh tools/web/unpack.mjs
	@tools/env.sh $(basename $(@F))

# Nothing, where the machine has it; without a stamp where there is none to be had.
$(VALGRIND): tools/env.sh
	@tools/env.sh valgrind

run: $(BASE) $(if $(WEB),$(PAGE))
	@$(PY) -m tools.run --make $(if $(SECONDS),--seconds='$(SECONDS)') \
		$(if $(DEVICES),--devices='$(DEVICES)') $(if $(SERVER),--server='$(SERVER)') \
		$(if $(OUTAGE),--outage='$(OUTAGE)') $(if $(PERIOD),--period='$(PERIOD)') \
		$(if $(HEAP),--heap='$(HEAP)') $(if $(SECURE),--secure) $(if $(WEB),--web) $(ARGS)

# All of them, whatever the first one finds.
lint: $(BASE)
	@found=0; \
	build/venv/bin/ruff check --quiet --output-format concise . || found=1; \
	build/venv/bin/ruff format --check --quiet --output-format concise . || found=1; \
	build/venv/bin/codespell || found=1; \
	exit $$found

format: $(BASE)
	@build/venv/bin/ruff check --quiet --select I --fix .
	@build/venv/bin/ruff format --quiet .

# What Python compiles is kept, beside all else that is made.
COMPILED = PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX='$(CURDIR)/build/pycache'

# Five at a time, on two cores too: they wait more than they work, and some far longer than others.
test: lint $(BASE) $(VALGRIND) $(PAGE) $(BROWSER)
	@rm -rf build/pycache$(or $(TMPDIR),/tmp)/pytest-of-*
	@$(COMPILED) $(PY) -m pytest -n 5 --dist worksteal -m 'not soak' $(ARGS)

soak: $(BASE) $(PAGE) $(BROWSER) $(HOME_ASSISTANT)
	@$(COMPILED) $(PY) -m pytest -m soak -s $(ARGS)

bench: $(BENCH) $(VALGRIND)
	@$(PY) -m tools.bench.bench $(ARGS)

wire: $(BENCH)
	@$(PY) -m tools.bench.wire $(ARGS)

size: $(BASE)
	@$(PY) -m tools.size.size $(ARGS)

package: $(BASE)
	@$(PY) -m tools.package
	@$(PY) -m tools.readme

dist: $(BASE)
	@$(PY) -m tools.dist $(ARGS)

deploy: $(BASE) | port
	@$(PY) -m tools.deploy --port $(PORT) $(if $(SOURCES),--sources) \
		$(if $(DEVICE),--device '$(DEVICE)') $(if $(DIR),--fleet '$(DIR)') $(ARGS)

fleet: $(BASE)
	@$(PY) -m tools.fleet.provision make --dir '$(or $(DIR),fleet)' $(foreach host,$(HOST),--host $(host)) $(ARGS) -- $(DEVICES)

credentials: $(BASE) | port
	@$(PY) -m tools.fleet.provision install --dir '$(or $(DIR),fleet)' --port $(PORT) $(ARGS) -- '$(DEVICE)'

update: $(BASE)
	@$(PY) -m tools.fleet --dir '$(or $(DIR),fleet)' update $(if $(VERSION),--version '$(VERSION)') \
		$(if $(STAGES),--stages '$(STAGES)') $(ARGS) -- $(DEVICE)

web: $(BASE) $(PAGE)
	@$(PY) -m tools.web $(if $(SERVER),--server '$(SERVER)') $(if $(CREDS),--creds '$(CREDS)') $(if $(WEB_PORT),--port '$(WEB_PORT)') $(ARGS)

repl: $(BASE) | port
	@$(PY) -m mpremote connect $(PORT) repl

bridge: $(BASE)
	@$(PY) -m tools.bridge --server '$(SERVER)' $(if $(BAUD),--baud '$(BAUD)') \
		$(if $(CA),--ca '$(CA)') $(ARGS) -- $(PORT)

.PHONY: port
port:
	@case '$(PORT)' in \
	'') echo 'say where the board is: PORT=/dev/ttyACM0' >&2 ;; \
	/*) test -e '$(PORT)' && exit; echo '$(PORT) is not there: is the board plugged in?' >&2 ;; \
	*) exit 0 ;; \
	esac; \
	test ! -x $(PY) || $(PY) -c 'from tools.deploy import ports; print(ports())' >&2; exit 2

clean:
	@rm -rf build
	@find . \( -name __pycache__ -o -name .pytest_cache \) -type d -prune -exec rm -rf {} +
