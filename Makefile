# Two commands do everything on a machine with Python 3.11+, git and make: `make race` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RACES  := $(VENV)/.ready-to-race
READY  := $(VENV)/.ready
# uv where it is installed, else pip; both take the versions of constraints.txt.
UV     := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
ADD    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
else
ADD    := $(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt
endif

.PHONY: help race race-full test chaos bench bench-smoke lint types contracts docs check clean-venv

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(RACES): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wtrace needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	@echo "making $(VENV) with what a race needs: wtrace, numpy, matplotlib, and torch, which is large"
	@$(PYTHON) -m venv $(VENV)
	@$(if $(UV),:,$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1')  # its start scripts begin 3 ms sooner
	@$(ADD) --editable '.[train]'
	@$(BIN)/python -m compileall -q src  # as other installs are: some environments forbid it at the first use
	@touch $@

$(READY): $(RACES)
	@echo "adding what the tests need to $(VENV)"
	@$(ADD) --editable '.[train,dev]'
	@touch $@

race: $(RACES)  ## train the shipped race in its quick form, with the live view, to a winner
	$(BIN)/wtrace run --config wtrace.quick.toml --trust

race-full: $(RACES)  ## train the shipped race at full strength (23 minutes on two busy cores without a GPU)
	$(BIN)/wtrace run --trust

test: $(READY)  ## run every test
	$(BIN)/python -m pytest

chaos: $(READY)  ## the long form of tests: 1,000 kills, 256 workers, new random examples (fifteen minutes)
	CHAOS_KILLS=1000 CHAOS_LONG=1 $(BIN)/python -m pytest tests/chaos $$(grep -l hypothesis tests/test_*.py) --timeout 1800

bench: $(READY)  ## the figures of docs/performance.md, measured again (ten minutes)
	$(BIN)/python bench/run_all.py
	$(BIN)/python bench/scale.py

bench-smoke: $(READY)  ## whether the benchmarks work
	$(BIN)/python bench/run_all.py --smoke
	$(BIN)/python bench/scale.py --smoke

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

contracts: $(READY)  ## import-linter: which room may import which
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as a site, in build/site; any warning is an error
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going docs build/site

check: lint types contracts docs  ## lint, types, contracts and the documentation

clean-venv:  ## remove the environment that the other targets made
	rm -rf $(VENV)
