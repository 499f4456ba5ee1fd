# Every target sets up what it needs: a virtual environment with this package in it, made once and
# brought up to date when pyproject.toml changes. Needs only make and Python 3.11 or later.

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
RESULTS ?= results
PYTESTARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip -qq --disable-pip-version-check install
# Without a network first, which succeeds where everything is there already.
install = $(PIP) --no-index --no-build-isolation -e '$(1)' 2>/dev/null || \
	{ $(PIP) hatchling editables && $(PIP) --no-build-isolation -e '$(1)'; }
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

# The first interpreter of a version that really runs: a pyenv shim may be there and yet fail.
find_python = $$(for candidate in python$(1) "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(1).*/bin/python; \
	do "$$candidate" --version >/dev/null 2>&1 && echo "$$candidate" && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-all test-3.11 test-3.12 test-fast-3.12 lint format bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Options: PYTHON=python3.12 VENV=$(VENV) WORKERS=$(WORKERS) RESULTS=$(RESULTS)"

demo: $(READY) ## set up, and draw the phase diagram of the gated RNN into results/
	@mkdir -p $(RESULTS)
	$(BIN)/gatefield phases --output $(RESULTS)

test: $(READY_DEV) ## set up, and run every test
	$(PYTEST) $(PYTESTARGS)

test-fast: $(READY_DEV) ## the tests that are not marked slow
	$(PYTEST) -m "not slow" $(PYTESTARGS)

test-all: test-3.11 test-3.12 ## every test on each of Python 3.11 and 3.12 that is installed

test-3.11 test-3.12: test-%:
	@python=$(call find_python,$*); \
	if [ -n "$$python" ]; then $(MAKE) --no-print-directory test PYTHON="$$python" VENV=.venv-$*; \
	else echo "Python $* is not installed here: skipped."; fi

test-fast-3.12: test-fast-%:
	@python=$(call find_python,$*); \
	if [ -n "$$python" ]; then $(MAKE) --no-print-directory test-fast PYTHON="$$python" VENV=.venv-$*; \
	else echo "Python $* is not installed here: skipped."; fi

lint: $(READY_DEV) ## style, types and the layers of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(READY_DEV) ## rewrite the code in the house format
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(READY) ## every benchmark: ratios to a reference of the same run
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean: ## remove environments, caches and results
	rm -rf .venv .venv-* results build dist
	rm -rf .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment hides itself from git. If making it fails, it is made anew the next time.
.DELETE_ON_ERROR:
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: try make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) (once; this takes some minutes) ..."
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make virtual environments: install its venv module."; exit 1; }
	@echo '*' > $(VENV)/.gitignore

$(READY): pyproject.toml | $(BIN)/python
	@$(call install,.)
	@touch $@

$(READY_DEV): pyproject.toml | $(BIN)/python
	@$(call install,.[dev])
	@touch $(READY) $@
