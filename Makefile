# Small Plates: `make app` opens the app, `make test` runs the tests. Both set up what they need.

SHELL := /bin/bash
VENV ?= .venv
HOST ?= localhost
REPLICAS ?= 2
PORT ?=
TESTS ?=
ALL ?=
LOAD ?=
SECONDS ?= 60
DOCS ?= build/docs
# Files are shared out among as many workers as there are processors; more than 4 fill the memory.
# In their order, not by their number of tests: the few tests in a browser are long, and come first.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
# The first Python on the PATH that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

BIN := $(VENV)/bin
# The versions that were tested; CONSTRAINTS= (nothing) takes the newest of each range instead.
CONSTRAINTS ?= constraints.txt
# pip's many lines, less the ones that only say what was already there.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input
CONSTRAIN := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
QUIETLY := | sed -n -E 's/^ *(Downloading|Using cached|Processing) /  /p'
# Gigabytes of disk that torch and the rest take, and those that are free where the venv is.
NEEDED_GB := $(if $(filter Linux,$(shell uname -s)),9,3)
FREE_GB = $(shell df -Pk "$(dir $(VENV))" | awk 'NR == 2 { print int($$4 / 1048576) }')

SERVE := --server.address $(HOST) $(if $(PORT),--server.port $(PORT))

.DEFAULT_GOAL := help
.PHONY: help app class test test-all lint format load docs fuzz constraints newest clean

help:
	@echo "make app        set up and open the app       (PORT=8600: on that port; HOST=0.0.0.0: for a class)"
	@echo "make class      several servers behind nginx for a large class   (REPLICAS=4: so many)"
	@echo "make test       set up and run the tests      (make test TESTS=tests/core: only those)"
	@echo "make test-all   the same with the slow tests and those in a browser"
	@echo "make lint       ruff and mypy only;  make format: let ruff put the code in order"
	@echo "make load       a class of forty at a server of its own for two minutes: how long it waits, what it costs"
	@echo "make docs       pages from core's docstrings, in build/docs"
	@echo "make fuzz       change photos and networks' files at random, for SECONDS=60, and see what reads them fail"
	@echo "make constraints   write the versions in $(VENV), once all tests pass with them, into constraints.txt"
	@echo "make newest     run the tests with the newest version of everything, in an environment of its own"
	@echo "make clean      remove $(VENV) and the caches of the tools"

app: $(VENV)/.app-ready
	@echo "Opening Small Plates. Stop it with Ctrl-C."
ifneq ($(HOST),localhost)
	@echo "Others in your network open http://<name or address of this machine>:$(or $(PORT),8501)"
endif
	@exec $(BIN)/python -m streamlit run app.py $(SERVE)

# Several servers behind nginx, for everybody in the network unless HOST is given.
class: HOST = 0.0.0.0
class: $(VENV)/.app-ready
	@exec $(BIN)/python -m core serve --host $(HOST) $(if $(PORT),--port $(PORT)) --replicas $(REPLICAS)

# With bytecode kept: else every worker, and every process of a test, would compile all sources anew.
test: export PYTHONDONTWRITEBYTECODE =
test: lint
	@$(BIN)/python -m pytest $(WORKERS) $(if $(ALL),-m "") $(TESTS)

test-all:
	@$(MAKE) --no-print-directory test ALL=1

lint: $(VENV)/.tests-ready
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet . || { echo "Run 'make format' to put these in order."; exit 1; }
	@$(BIN)/python -m mypy --num-workers auto

format: $(VENV)/.tests-ready
	@$(BIN)/python -m ruff check --fix --quiet . ; $(BIN)/python -m ruff format .

load: $(VENV)/.app-ready
	@$(BIN)/python -m tools.load $(LOAD)

# Of a package that names its interface (__all__), pdoc shows no modules unless each is named.
NAMING = $(dir $(shell grep -l '^__all__' core/*/__init__.py core/*/*/__init__.py))
# Two are found all the same: a function in the interface has the module's name.
MODULES = core $(filter-out core.checkpoints.history core.photos.square,$(subst /,.,$(basename \
	$(foreach folder,$(NAMING),$(filter-out %/__init__.py,$(wildcard $(folder)*.py)) \
	$(patsubst %/__init__.py,%,$(wildcard $(folder)*/__init__.py))))))
docs: $(VENV)/.tests-ready
	@$(BIN)/python -m pdoc $(MODULES) --template-directory docs/pdoc --output-directory $(DOCS)
	@echo "Open $(DOCS)/index.html"

fuzz: $(VENV)/.tests-ready
	@nice $(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Left out: what only some builds of torch need, and marks of a build ("+cpu").
constraints: FILE = $(or $(CONSTRAINTS),constraints.txt)
constraints: $(VENV)/.tests-ready
	@{ sed -n '/^#/p;/^#/!q' $(FILE); \
	   $(BIN)/python -m pip list --format=freeze --exclude pip --exclude setuptools --exclude wheel | \
	   sed -E '/^(nvidia|cuda|triton|pytorch-triton|uvloop)/d; s/\+.*//'; } > $(FILE).new
	@mv $(FILE).new $(FILE)

# Beside the other one: where the system keeps temporary files there may be no 9 GB.
newest:
	@folder=$$(mktemp -d "$(abspath $(dir $(VENV)))/.newest-XXXXXX") && trap 'rm -rf "$$folder"' EXIT && \
		$(MAKE) --no-print-directory test CONSTRAINTS= VENV="$$folder/venv"

clean:
	test ! -f $(VENV)/pyvenv.cfg || rm -rf $(VENV)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .newest-*

# pip is what comes last: a venv that was broken off has a python but no pip.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { \
		echo "Small Plates needs Python 3.11 or newer, and none is on the PATH." >&2; \
		echo "Install one, or name yours: make app PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "Python could not make a virtual environment. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.app-ready: requirements.txt $(CONSTRAINTS) | $(BIN)/pip
	@echo "Installing what the app needs. The first time this takes some minutes: torch is large."
	@test -d $(VENV)/lib/python*/site-packages/torch || test "$(or $(FREE_GB),$(NEEDED_GB))" -ge $(NEEDED_GB) || \
		echo "It may run out of disk: $(FREE_GB) GB are free here, about $(NEEDED_GB) are needed meanwhile (less with a CPU build of torch: README)." >&2
	@set -o pipefail; $(PIP_INSTALL) -r requirements.txt $(CONSTRAIN) $(QUIETLY)
	@touch $@

$(VENV)/.tests-ready: requirements-dev.txt $(CONSTRAINTS) $(VENV)/.app-ready | $(BIN)/pip
	@echo "Installing what the tests need."
	@set -o pipefail; $(PIP_INSTALL) -r requirements-dev.txt $(CONSTRAIN) $(QUIETLY)
	@touch $@
