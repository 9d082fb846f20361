PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The project that `make ui` shows: the demo where it was made, else this folder.
ROOT ?= $(if $(wildcard demo/data/datasets.yaml),demo,.)

.PHONY: help demo test test-full check lint types docs wheel bench ui clean

help: ## List these targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# One environment for everything; installed again when the dependencies change.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a few minutes the first time) …"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev,ui]'
	@touch $@

demo: $(VENV)/.installed ## Fingerprint real images, change them, and see only the change computed
	@$(BIN)/python examples/demo.py

test: check docs ## Lint, types, import contracts, documentation and tests (what CI runs; minutes)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not campaign"

test-full: check docs ## The same with the long campaigns (an hour and a half)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

check: lint types ## Lint, types and import contracts

# Types take as long as all else that needs no tests, so they have a job of their own (`make -j2`).
types: $(VENV)/.installed
	@$(BIN)/mypy

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

docs: $(VENV)/.installed ## Build the documentation site: docs/_build/html/index.html
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

wheel: $(VENV)/.installed ## Build the wheel into dist/, and try it outside the checkout
	@mkdir -p dist
	@rm -f dist/*.whl
	@DNA_WHEEL_FOLDER=$(CURDIR)/dist $(BIN)/python -m pytest dna_pipelines_tests/packaging
	@ls dist/*.whl

bench: $(VENV)/.installed ## Measure against peers, side by side in one run
	@$(BIN)/python -m benchmarks

ui: $(VENV)/.installed ## Dagster's web page for the demo, or for ROOT=folder
	@$(BIN)/dna --root $(ROOT) ui

clean: ## Remove the environment, the demo and caches
	rm -rf $(VENV) demo dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
