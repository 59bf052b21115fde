# `make` shows what there is. Everything runs in .venv, which `make setup` makes once.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all bench check format clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

setup: $(STAMP) ## make .venv and install what is needed; nothing the second time

run: setup ## train a teacher and distil a DeiT from it, on data that ship with a dependency
	$(BIN)/python src/train.py

test: setup ## the tests that take seconds, in minutes altogether
	$(BIN)/python -m pytest -m "not slow" -n 2

test-all: setup ## the longer ones: whole runs, sweeps, the commands of the README
	$(BIN)/python -m pytest -m slow -n 2

bench: setup ## how fast this machine is, part by part; some minutes on two cores, and docs/benchmarks.md
	$(BIN)/python src/benchmark.py what=data,overhead,startup rounds=3
	$(BIN)/python src/benchmark.py what=step,inference scale=paper teacher.source=random rounds=3 report=docs/benchmarks.md

check: setup ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup ## format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; logs/ stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
