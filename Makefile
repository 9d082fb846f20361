PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The project that `make ui` shows: the demo where it was made, else this folder.
ROOT ?= $(if $(wildcard demo/data/datasets.yaml),demo,.)

.PHONY: help demo test test-full check bench ui clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# One install for everything; made again when the dependencies change.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Making $(VENV) and installing (a few minutes the first time) …"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev,ui]'
	@touch $@

demo: $(VENV)/.installed ## Fingerprint real images, change them, and see only the change computed
	@$(BIN)/python examples/demo.py

test: check ## Lint, types, import contracts and tests (what CI runs; minutes)
	@$(BIN)/python -m pytest -n 2 -m "not campaign"

test-full: check ## The same with the long campaigns (tens of minutes)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.installed ## Lint, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.installed ## Measure against peers, side by side in one run
	@$(BIN)/python -m benchmarks

ui: $(VENV)/.installed ## Dagster's web page for the demo, or for ROOT=folder
	@$(BIN)/dna --root $(ROOT) ui

clean: ## Remove the environment, the demo and caches
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
