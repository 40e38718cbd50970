# The same targets for people and for CI. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-run setup-test run test lint format bench bench-check soak fuzz showcase failover lock clean

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
READY_TO_RUN := .venv/.ready-to-run
UV := VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY) ## Make .venv with everything in requirements.lock; nothing to do when up to date

$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	$(UV) --require-hashes -r requirements.lock
	$(UV) --no-deps -e .
	@touch $@ $(READY_TO_RUN)

setup-run: $(READY_TO_RUN) ## Make .venv with what serving needs, without extras

# The lock only says which versions: what it has besides is left out.
$(READY_TO_RUN): requirements.lock pyproject.toml | $(BIN)/uv
	$(UV) --constraints requirements.lock -e .
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'vconflow needs Python 3.11 or newer: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo 'please install the package python3-venv' >&2; exit 1; }; \
		apt-get update && apt-get install -y --no-install-recommends python3-venv; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

TEST_COMMANDS := redis-server wrk curl git node promtool prometheus systemd-analyze nginx espeak-ng ps
TEST_PACKAGES := redis-server wrk curl git nodejs prometheus systemd nginx espeak-ng procps

# The packages of a distribution start their service when they are installed; the tests start
# their own servers, so policy-rc.d forbids that meanwhile.
setup-test: setup ## Install the servers and tools which the tests need besides the locked packages
	@missing=; for name in $(TEST_COMMANDS); do command -v $$name >/dev/null || missing=1; done; \
	[ -z "$$missing" ] || { \
		[ "$$(id -u)" = 0 ] || { echo 'please install the packages $(TEST_PACKAGES)' >&2; exit 1; }; \
		policy=/usr/sbin/policy-rc.d; \
		[ -e $$policy ] || { trap "rm -f $$policy" EXIT; \
			printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; }; \
		apt-get update && apt-get install -y --no-upgrade --no-install-recommends $(TEST_PACKAGES); }

run: setup-run ## Start vconflow with sample conversations and keep serving until Ctrl-C
	$(BIN)/vconflow demo $(ARGS)

test: setup-test ## Run the tests with coverage, e.g. make test ARGS="-x -k ingest"
	$(BIN)/python -m pytest --cov --cov-branch --cov-report=term $(ARGS)

lint: setup ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src tests/typing
	$(BIN)/lint-imports

format: setup ## Put the code into its one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup-test ## Measure throughput and latency, e.g. make bench ARGS="--quick chain"
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: setup-test ## Compare what vCons cost with what is recorded; ARGS=--record records it
	$(BIN)/python -m benchmarks.check $(ARGS)

soak: setup ## Ten minutes of load under random faults, e.g. make soak ARGS="--minutes 2 --seed 7"
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: setup ## Five minutes of hostile requests, e.g. make fuzz ARGS="--minutes 10 --seed 7"
	$(BIN)/python -m tests.hostile $(ARGS)

showcase: setup-test ## Fifty spoken conversations through the documented chain; ARGS=--stay keeps it up
	$(BIN)/python -m tests.showcase $(ARGS)

failover: setup ## Kill 80 masters of Redis under load and count what is lost, in ten minutes
	$(BIN)/python -m tests.failover $(ARGS)

lock: setup ## Pin all dependencies anew; make lock ARGS=--upgrade takes newer ones
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
		--all-extras --group dev $(ARGS) pyproject.toml -o requirements.lock
	@! grep -n '://' requirements.lock || { echo 'the lock names a host' >&2; exit 1; }

clean: ## Remove what was generated, apart from .venv
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf .coverage .coverage.* htmlcov build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
