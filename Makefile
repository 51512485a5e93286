# `make demo` and `make test` are all one needs; both install what they use.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-distributed test-faults bench bench-quick fuzz lint check docs lock clean

help:
	@echo "make demo   install, build the demo database, run every shipped export, show what came out"
	@echo "make dev    open the Dagster UI on http://127.0.0.1:3000"
	@echo "make test   install what the tests need, and run them all"
	@echo "make test-distributed  several workers behind a broker, one of which is killed (about four minutes)"
	@echo "make test-faults  kill, crash, cut off and fill up everything, many times (more than an hour)"
	@echo "make bench  measure against other tools, and write docs/performance.md (about twenty minutes; make bench-quick: three)"
	@echo "make fuzz   look for new counterexamples to the property tests (about a minute)"
	@echo "make check  lint and types"
	@echo "make docs   write the generated pages of docs/"
	@echo "make lock   pin the newest versions of all dependencies"

$(VENV)/.run: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp dagster.yaml $@

demo: $(VENV)/.run $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/exports demo --materialize

dev: $(VENV)/.run $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

# Not in the lock: nobody needs it who does not use Celery. What is installed already keeps its version.
$(VENV)/.distributed: $(VENV)/.dev
	$(BIN)/uv pip freeze --quiet --python $(BIN)/python --exclude-editable > $(VENV)/.pinned
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(VENV)/.pinned --group distributed
	@touch $@

test-distributed: $(VENV)/.distributed
	$(BIN)/python -m pytest -m distributed export_pipelines_tests/e2e/test_distributed.py

test-faults: $(VENV)/.dev
	$(BIN)/python benchmarks/kill_publishers.py --layout artifact
	$(BIN)/python benchmarks/kill_publishers.py --layout flat
	$(BIN)/python benchmarks/crash_points.py
	$(BIN)/python benchmarks/syscall_faults.py
	$(BIN)/python benchmarks/full_disk.py
	$(BIN)/python benchmarks/restart_postgres.py
	$(BIN)/python benchmarks/s3_faults.py
	$(BIN)/python benchmarks/retention_inventories.py
	$(BIN)/python benchmarks/prune_inventories.py
	$(BIN)/python benchmarks/prune_crashes.py
	$(BIN)/python benchmarks/observe_runs.py
	$(BIN)/python benchmarks/smtp_outage.py
	$(BIN)/python benchmarks/golden_timings.py
	$(BIN)/python benchmarks/missed_ticks.py

# What the package is compared with lives in an environment of its own.
$(PEERS)/.made: requirements-bench.lock
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

bench: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/python -m benchmarks.speed --page docs/performance.md

bench-quick: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/python -m benchmarks.speed --quick

fuzz: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --hypothesis-profile=search export_pipelines_tests/unit

lint check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.run
	$(BIN)/python -m export_pipelines.spec.schema > docs/spec-reference.md

lock: $(VENV)/.dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-strip-extras --no-header --python-version 3.11 \
		--group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-strip-extras --no-header --python-version 3.11 \
		--constraint requirements.lock --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-strip-extras --no-header --python-version 3.11 \
		--constraint requirements.lock --group pyproject.toml:bench -o requirements-bench.lock

clean:
	rm -rf $(VENV) $(PEERS) .dagster .exports exports
