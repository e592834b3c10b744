# make demo    set everything up and run the main job in the embedded world
# make test    set everything up and pass the tests (pip alone)
# make interop the same against servers and clients that we did not write
# make bench   measure certbroker beside certbot and lego (ROUNDS=1: a quick look)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More than there are cores: many tests wait for a paced platform or for the disk.
WORKERS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))

# Where bytecode is not kept, each worker would compile every test anew: 5 s of CPU each.
unexport PYTHONDONTWRITEBYTECODE

# A store syncs at every commit: where memory serves as a disk with 2 GB of room, tests need not wait for a real one.
ROOM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000000 { print "/dev/shm" }')

.PHONY: demo test interop bench check format clean

demo: $(VENV)/run
	$(BIN)/certbroker demo

test: export TMPDIR := $(or $(TMPDIR),$(ROOM),/tmp)
test: $(VENV)/dev check
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q -m "not interop"

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

interop: export CERTBROKER_PEBBLE ?= $(CURDIR)/.tools/bin/pebble
interop: $(VENV)/interop
	deploy/interop-setup
	$(BIN)/pytest -q -m interop

bench: $(VENV)/dev
	deploy/bench-setup
	$(BIN)/python -m tests.bench

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	touch $@

$(VENV)/run: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/dev: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/run

$(VENV)/interop: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[interop]'
	touch $@ $(VENV)/dev $(VENV)/run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .tools
