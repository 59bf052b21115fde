# `make` shows what there is. Everything runs in .venv, which `make setup` makes once.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LOCK := requirements-lock.txt

.DEFAULT_GOAL := help
.PHONY: help setup lock run doctor test test-all test-lowest bench study study-runs check audit format clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
ifdef LOCKED
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps -e .
	$(BIN)/python -m pip check
else
	$(BIN)/python -m pip install --quiet -e '.[dev]'
endif
	@touch $@

setup: $(STAMP) ## make .venv and install what is needed; LOCKED=1: the releases of requirements-lock.txt, by their hashes

# Without torch and what it brings, which differ by machine: CPU, CUDA, aarch64, a copy that is there already.
lock: setup ## write requirements-lock.txt anew, for all systems and Pythons; then make clean test-all LOCKED=1
	$(BIN)/python -m pip install --quiet uv
	printf '%s\n' "torch; sys_platform == 'never'" "torchvision; sys_platform == 'never'" | \
		$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 \
		--generate-hashes --upgrade --quiet \
		--no-annotate --no-emit-package torch --no-emit-package torchvision --overrides /dev/stdin \
		--custom-compile-command 'make lock' --output-file $(LOCK)

run: setup ## train a teacher and distil a DeiT from it, on data that ship with a dependency
	$(BIN)/python src/train.py

doctor: setup ## what is wrong with this installation and this machine, if anything is
	$(BIN)/python src/doctor.py

# Two tests at once with one thread each: more threads than cores make small networks many times slower.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --durations=25

test: setup ## the tests that take seconds, in minutes altogether
	$(PYTEST) -m "not slow"

test-all: setup ## the longer ones: whole runs, sweeps, the commands of the README
	$(PYTEST) -m slow

# The releases that the lower bounds of pyproject.toml name, on the oldest Python that it allows, if that one is installed.
LOWEST := .venv-lowest
OLDEST_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python /usr/bin/python3.10) $(PYTHON))

$(LOWEST)/.installed: pyproject.toml $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(OLDEST_PYTHON) $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[dev]'
	@touch $@

test-lowest: $(LOWEST)/.installed ## models, training and export with the lowest releases that are allowed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 -m "not slow" tests/models tests/training tests/export

bench: setup ## how fast this machine is, part by part; some minutes on two cores, and docs/benchmarks.md
	$(BIN)/python src/benchmark.py what=data,overhead,startup rounds=3
	$(BIN)/python src/benchmark.py what=step,inference scale=paper teacher.source=random rounds=3 report=docs/benchmarks.md

study: setup ## the tables and figures of docs/study.md and of the README, from docs/study/runs, in seconds
	$(BIN)/python src/study.py

# Where they cannot be downloaded: CIFAR10="data=cifar10_jpeg data.root=<folder>", FASHION="data=fashion_mnist data.root=<folder>".
FASHION ?= data=fashion_mnist data.download=true
CIFAR10 ?= data=cifar10 data.download=true
GRID = $(BIN)/python src/train.py resources=local_parallel -m experiment=study/$(1) hydra.sweep.dir=logs/study/$(2)_$(1) $(3)

study-runs: setup ## the study's runs from nothing, under three hours on two cores; stopped and started again it goes on
	$(call GRID,little,fashion_mnist,$(FASHION))
	$(call GRID,little,cifar10,$(CIFAR10))
	$(call GRID,full,fashion_mnist,$(FASHION))
	$(call GRID,full,cifar10,$(CIFAR10))
	$(BIN)/python src/study.py logs/study

check: setup audit ## format, lint, types, layers, known vulnerabilities of what is installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

audit: setup
	@$(BIN)/python .ci/audit.py

format: setup ## format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; logs/ stays
	rm -rf .venv .venv-lowest .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
