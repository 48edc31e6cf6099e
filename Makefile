# Daily verbs. `make help` explains itself. Needs git, make and Python 3.11; no root, no Docker, no system servers.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PYTHON_FOUND := $(shell command -v $(PYTHON) || command -v python3)
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# An idle process takes over tests from the end of another's queue: neighbours, who share fixtures, stay together for as
# long as that costs no time.
SIDE_BY_SIDE := -n auto --dist worksteal
# Tests of servers wait more than they compute: three of each server keep two cores busy, in 9 GB of memory. A file's tests
# share what they set up; files are begun in the order of tests/integration/conftest.py.
TOGETHER ?= 3
BY_FILE := -n $(TOGETHER) --dist loadfile --no-loadscope-reorder
SIZE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status lint types format schema test test-unit test-slow test-integration test-end-to-end downloads \
        test-spark test-pgbackrest test-kill spill kill-storm kill-airflow recovery-targets bench bench-peers bench-page docs lock clean browser screenshots

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Bytecode is compiled once, here: where PYTHONDONTWRITEBYTECODE is set, every start would compile all it imports.
setup: $(STAMP) ## The environment in .venv, from requirements.txt
$(STAMP): requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON_FOUND) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "Python 3.11 or 3.12 is needed, $(VENV) has $$($(BIN)/python -V); remove $(VENV), set PYTHON=…" >&2; exit 1; }
	@$(BIN)/python -m uv --version 2>/dev/null | grep -q ' $(UV_VERSION)' \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	@$(BIN)/python -m compileall -q include
	@touch $@

demo: setup ## Start everything, seed ODRAS, run the shipped pipelines through Airflow, show what came out
	$(BIN)/workbench demo --size $(SIZE)

up: setup ## Start the local stores
	$(BIN)/workbench up

down: setup ## Stop everything `demo` and `up` started; data stays
	$(BIN)/workbench down

status: setup ## How the local stack is
	$(BIN)/workbench status

lint: setup ## Style, import arrows, pipelines, the published schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/workbench lint dags

types: setup ## mypy
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

schema: setup ## Write the published schema, the tables of keys and the numbers of golden cases
	$(BIN)/python -m data_workbench.pipelines.schema_export docs/schema/pipeline.json docs/user-guide/pipeline-language.md
	$(BIN)/python -m data_workbench.connectors.pages docs/user-guide/connectors
	$(BIN)/python -m tests.golden.numbers

# What servers are made of is downloaded while what needs no server runs: in a clean clone that is minutes of waiting.
# Airflow waits for its clock most of the time, so Spark computes beside it.
test: setup ## Everything CI runs
	@$(MAKE) --no-print-directory downloads & trap wait EXIT; \
	  $(MAKE) --no-print-directory lint types test-unit test-slow
	@$(MAKE) --no-print-directory test-integration test-kill $(SPARK_STAMP)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-spark test-end-to-end

downloads: setup ## Fetch what the servers and models of the tests are made of, once
	@$(BIN)/python -m tests.downloads

test-unit: setup ## No server, side by side on all cores
	$(PYTEST) tests/unit -m "not slow" $(SIDE_BY_SIDE)

# Debian's own browser, driven by Playwright; where nobody may install it the tests say so, and CI fails.
BROWSER_STAMP := $(VENV)/.browser
$(BROWSER_STAMP): requirements-browser.txt $(STAMP)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-browser.txt
	@command -v chromium >/dev/null || test -n "$$WORKBENCH_CHROMIUM" \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || echo "no Chromium, and no right to install it: the tests of pages in a browser are skipped" >&2
	@touch $@

browser: $(BROWSER_STAMP) ## Playwright, and Debian's Chromium where it may be installed

screenshots: $(BROWSER_STAMP) ## Draw the pages for the documents anew
	WORKBENCH_BROWSER=required WORKBENCH_SCREENSHOTS=$(CURDIR)/docs/images/quality \
	  $(PYTEST) tests/integration/pipelines/test_quality_in_browser.py -n0 -k light_and_dark

ICEBERG_STAMP := $(VENV)/.iceberg
$(ICEBERG_STAMP): requirements-iceberg.txt $(STAMP)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-iceberg.txt
	@touch $@

test-slow: $(ICEBERG_STAMP) ## No server either, but seconds each: real files, processes, many examples
	$(PYTEST) tests/unit -m slow $(SIDE_BY_SIDE)

test-integration: $(BROWSER_STAMP) $(ICEBERG_STAMP) ## All on real local servers, on free ports, three of each side by side
	$(PYTEST) tests/integration $(BY_FILE)

test-end-to-end: setup ## One demo through the Airflow scheduler, in a folder of its own
	$(PYTEST) tests/end_to_end

SPARK_STAMP := $(VENV)/.spark
$(SPARK_STAMP): requirements-spark.txt $(STAMP)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-spark.txt
	@touch $@

test-spark: $(SPARK_STAMP) ## Pipelines and golden cases on Spark, in this process; installs the extra
	$(PYTEST) tests/spark

# Debian's pgBackRest, and the newest PostgreSQL it knows; where nobody may install them the tests say so.
test-pgbackrest: setup ## Backups by pgBackRest of a PostgreSQL of the system's packages; installs them as root
	@command -v pgbackrest >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && apt-get -qq install -y --no-install-recommends pgbackrest postgresql-15 >/dev/null; } \
	  || echo "no pgBackRest, and no right to install it: its tests are skipped" >&2
	$(PYTEST) tests/integration/backup/test_pgbackrest.py -n0 -rs

test-kill: setup ## kill -9 a load at each named point once, and a few times at random
	$(PYTEST) tests/kill $(SIDE_BY_SIDE)

kill-storm: setup ## kill -9 a load 20 times at named and random points, and every network fault (slow)
	WORKBENCH_KILL_ROUNDS=20 $(PYTEST) tests/kill tests/integration/pipelines/test_network_faults.py \
	  tests/integration/pipelines/test_backfills.py

recovery-targets: setup ## All stores back to 20 random moments of a busy time, each held against an oracle (15 minutes)
	WORKBENCH_RECOVERY_TARGETS=20 $(PYTEST) tests/integration/backup/test_recovery_targets.py

spill: setup ## 10 GB of rows through a sort, a join and groups with 1 GB of memory; needs 25 GB of disk (20 minutes)
	WORKBENCH_SPILL_MB=10000 WORKBENCH_SPILL_ENGINE_MB=1000 WORKBENCH_SPILL_PROCESS_MB=1600 \
	  $(PYTEST) tests/integration/pipelines/test_spilling.py -n0 -s

kill-airflow: setup ## kill -9 of worker, scheduler, API server and PostgreSQL at 8 points of runs through Airflow, 5 seeds (an hour)
	WORKBENCH_KILL_AIRFLOW_SEEDS=$${WORKBENCH_KILL_AIRFLOW_SEEDS:-5} $(PYTEST) tests/end_to_end/test_kill_airflow.py

bench: setup ## Measure against peers within one run; writes docs/bench/results.json and docs/performance.md
	$(BIN)/python -m tests.bench --keep

bench-peers: setup ## The peers of the bench, in an environment of their own
	@test -x .venv-bench/bin/python || $(BIN)/python -m venv .venv-bench
	$(BIN)/python -m uv pip install --quiet --python .venv-bench/bin/python -r requirements-bench.txt

bench-page: setup ## Write the tables of docs/performance.md from docs/bench/results.json
	$(BIN)/python -m tests.bench.performance

docs: setup ## Hold the documents to the real commands, settings, errors and links
	$(PYTEST) tests/unit/docs

lock: setup ## Compile requirements.in into requirements.txt, those of Spark and of the bench's peers
	$(BIN)/python -m uv pip compile --quiet --no-annotate --no-header --python-version 3.11 requirements.in -o requirements.txt
	echo "-e ." >> requirements.txt
	grep -v '^-e' requirements.txt > $(VENV)/constraints.txt
	$(BIN)/python -m uv pip compile --quiet --no-annotate --no-header --python-version 3.11 -c $(VENV)/constraints.txt \
	  requirements-spark.in -o requirements-spark.txt
	$(BIN)/python -m uv pip compile --quiet --no-annotate --no-header --python-version 3.11 -c $(VENV)/constraints.txt \
	  requirements-browser.in -o requirements-browser.txt
	$(BIN)/python -m uv pip compile --quiet --no-annotate --no-header --python-version 3.11 -c $(VENV)/constraints.txt \
	  requirements-iceberg.in -o requirements-iceberg.txt
	$(BIN)/python -m uv pip compile --quiet --no-annotate --no-header --python-version 3.11 \
	  requirements-bench.in -o requirements-bench.txt

clean: down ## Stop everything and remove the local data
	rm -rf .workbench
