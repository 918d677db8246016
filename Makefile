# Every target makes what it needs; nothing has to be set up before.

PYTHON ?= python3
PY = build/venv/bin/python
BASE = build/base.stamp
BENCH = build/bench.stamp

.PHONY: help env run test soak bench size deploy repl clean
.DELETE_ON_ERROR:

help:
	@echo 'make run      simulated boards against a real server   [SECONDS=10] [DEVICES=20] [SERVER=nats://host:4222]'
	@echo 'make test     all tests but the long ones              [ARGS="-k name"]'
	@echo 'make soak     the long tests                           [ARGS=...]'
	@echo 'make bench    speed and heap against other clients     [ARGS=...]'
	@echo 'make size     code lines, flash and heap per module    [ARGS=...]'
	@echo 'make deploy   client and application onto a board      PORT=/dev/ttyACM0 [MPY=1]'
	@echo 'make repl     the board'"'"'s prompt                       PORT=/dev/ttyACM0'
	@echo 'make env      the environment in build/, which the others make by themselves'
	@echo 'make clean    remove everything made'

env: $(BASE)
	@:

$(BASE): tools/env.sh tools/requirements.txt
	@PYTHON='$(PYTHON)' tools/env.sh base

$(BENCH): $(BASE) tools/requirements-bench.txt
	@PYTHON='$(PYTHON)' tools/env.sh bench

run: $(BASE)
	@$(PY) tools/run.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(DEVICES),--devices $(DEVICES)) \
		$(if $(SERVER),--server $(SERVER)) $(ARGS)

test: $(BASE)
	@$(PY) -m pytest host_tests -n 2 -m 'not soak' $(ARGS)

soak: $(BASE)
	@$(PY) -m pytest host_tests -m soak -s $(ARGS)

bench: $(BENCH)
	@$(PY) tools/bench.py $(ARGS)

size: $(BASE)
	@$(PY) tools/size.py $(ARGS)

deploy: $(BASE) | port
	@$(PY) tools/deploy.py --port $(PORT) $(if $(MPY),--mpy) $(ARGS)

repl: $(BASE) | port
	@$(PY) -m mpremote connect $(PORT) repl

.PHONY: port
port:
	@test -n '$(PORT)' || { echo 'say where the board is: PORT=/dev/ttyACM0' >&2; exit 2; }

clean:
	@rm -rf build
	@find . \( -name __pycache__ -o -name .pytest_cache \) -type d -prune -exec rm -rf {} +
