# Everything a newcomer needs is `make serve` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV      = $(BIN)/uv
# The tool that installs from the lock file; itself installed by pip into the same environment.
UV_VERSION := 0.13.9
# How many processes run test files at once. Each starts its own servers, which take some gigabytes.
WORKERS ?= 2
STAMP  := $(VENV)/.installed
# An unpacked wheel of compiled modules, and those as pyproject.toml lists them.
COMPILED := build/compiled
MODULES  := $(shell sed -n '/^modules = \[/,/^\]/s/^ *"\(.*\.py\)",$$/\1/p' pyproject.toml)
# Installed from wheels and from nothing else, into this very environment.
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or later is needed, this is %d.%d. Name another with: make PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) sync --frozen --quiet --inexact
	@touch $@

install: $(STAMP) ## Install everything from the lock file into .venv

serve: $(STAMP) ## Start the server with the sample lake on http://127.0.0.1:8000/graphql
	@exec $(BIN)/stratigraph serve

test: $(STAMP) lint servers compiled ## Check and test everything (without Java or gcc: says loudly which suites did not run)
	$(BIN)/pytest -q --durations=15 -n $(WORKERS) --dist loadfile

test-fast: $(STAMP) ## The tests that need neither Java nor much time
	$(BIN)/pytest -q -m "not spark and not rest_catalog and not janusgraph and not cassandra and not long and not slow"

test-graph: $(STAMP) servers ## The lineage graph in a real JanusGraph (needs Java 17 and Maven)
	$(BIN)/pytest -q -m "janusgraph and not long"

test-long: $(STAMP) servers ## Processes killed in the middle of 20,000 events (minutes)
	$(BIN)/pytest -q -s -m "long and not cassandra" -o faulthandler_timeout=4000

test-cassandra: $(STAMP) servers ## The lineage graph in a JanusGraph on a real Cassandra (Java 17, Maven, a gigabyte)
	deploy/dev/cassandra/build.sh
	$(BIN)/pytest -q -m cassandra

test-spark: $(STAMP) servers ## Spark and the REST catalog as judges of what we write (needs Java 17 and Maven)
	$(BIN)/pytest -q -m "spark or rest_catalog"

servers: $(STAMP) ## Fetch and build the Java servers that the tests start
	@if command -v java >/dev/null && command -v javac >/dev/null && command -v mvn >/dev/null; then \
		deploy/dev/iceberg-rest/build.sh && deploy/dev/janusgraph/build.sh && deploy/dev/spark/build.sh && \
		$(UV) sync --frozen --quiet --inexact --group spark; \
	elif [ -n "$$CI" ]; then \
		echo "CI needs a JDK (java, javac) and mvn for the Spark, REST catalog and JanusGraph suites"; exit 1; \
	else \
		echo "##  No JDK or Maven here: the Spark, REST catalog and JanusGraph suites will NOT run."; \
	fi

compiled: $(STAMP) ## Compile what copies Parquet pages, into build/compiled (needs gcc and Python's headers)
	@if command -v gcc >/dev/null && $(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()' 2>/dev/null; then \
		$(MAKE) --no-print-directory $(COMPILED)/.built && cp -R app $(COMPILED)/; \
	elif [ -n "$$CI" ]; then \
		echo "CI needs gcc and Python's headers for the suite of compiled code"; exit 1; \
	else \
		echo "##  No gcc or no headers of Python here: the suite of compiled code (tests/compiled) will NOT run."; \
	fi

# Of all other modules the newest are copied beside them, by `compiled`.
$(COMPILED)/.built: pyproject.toml hatch_build.py $(MODULES)
	rm -rf $(COMPILED) build/wheel
	STRATIGRAPH_COMPILE=1 $(UV) build --quiet --wheel --python $(BIN)/python --out-dir build/wheel
	$(BIN)/python -m zipfile -e build/wheel/*.whl $(COMPILED)
	@touch $@

lint: $(STAMP) ## Formatting, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(STAMP) ## Write schema.graphql anew
	$(BIN)/stratigraph schema print > schema.graphql

bench: $(STAMP) ## Run the benchmarks; one JSON line a case
	for name in versioning graphql lineage ingest; do $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.compare --rows 2000000 --files 20 $(if $(wildcard deploy/dev/spark/target/built),,--no-spark)
	$(BIN)/python -m benchmarks.retention --snapshots 400 --tags 10 --rounds 1 --tables 10 --table-snapshots 50 \
		--s3-snapshots 50,100 $(if $(wildcard deploy/dev/spark/target/built),,--no-spark)

clean: ## Remove what was installed and built (not your data)
	rm -rf $(VENV) deploy/dev/*/target dist build .mypy_cache .ruff_cache .pytest_cache

.PHONY: help install serve test test-fast test-graph test-long test-cassandra test-spark servers compiled lint format schema bench clean
