# Two commands matter: `make run` tries the product, `make test` proves it. Everything else supports them.
# A stamp file stands for each installation, so that nothing is installed twice.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PROJECT := setup.cfg setup.py pyproject.toml

RUN_READY   := $(VENV)/.ready-run
TEST_READY  := $(VENV)/.ready-test
KERBEROS_READY := $(VENV)/.ready-kerberos
BENCH_READY := $(VENV)/.ready-bench
NODE_READY  := tests/interop/node_modules/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The suite starts hundreds of processes: where a shell forbids bytecode, each would compile the whole product again.
export PYTHONDONTWRITEBYTECODE :=
# Databases of the tests live in memory where they can: the suite is about rules, and the disk would set its pace.
FAST_TMP := $(shell [ -w /dev/shm ] && echo /dev/shm || echo "$${TMPDIR:-/tmp}")
# One more than a small machine has cores: many tests wait for a server to start, or to be refused.
WORKERS ?= 3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run install test test-long check bench docs format clean system-packages bench-packages
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_READY) ## Install and start the demo: provider, gateway, sample API and sample app
	@exec $(BIN)/idp demo $(ARGS)

install: $(TEST_READY) $(NODE_READY) ## Install the product and everything its tests use into .venv

test: $(KERBEROS_READY) $(NODE_READY) ## Run the whole suite against real servers, with coverage floors
	@rm -rf artifacts/coverage && mkdir -p artifacts/coverage
	TMPDIR=$(FAST_TMP) $(BIN)/python -m coverage run -m pytest -n $(WORKERS) \
		--junitxml=artifacts/junit.xml --write-outcomes=artifacts/evidence.json $(ARGS)
	@$(BIN)/python tests/coverage_floors.py

test-long: $(KERBEROS_READY) $(NODE_READY) ## Run the long campaigns: crash, rotation under load, race rounds
	@mkdir -p artifacts
	TMPDIR=$(FAST_TMP) $(BIN)/python -m pytest -m long --junitxml=artifacts/junit-long.xml $(ARGS)
	@[ -n "$(ARGS)" ] || $(BIN)/python -m tests.check.campaigns

check: $(TEST_READY) ## Lint, types, layers, migrations, generated documents: what CI runs first
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.check.migrations
	$(BIN)/python -m tests.check.documents
	$(BIN)/python -m tests.check.traces

bench: $(BENCH_READY) $(NODE_READY) bench-packages ## Measure against rivals and write docs/benchmarks.md
	$(BIN)/python -m tests.bench $(ARGS)

docs: $(TEST_READY) ## Write the generated documents again
	$(BIN)/python -m tests.check.documents --write

format: $(TEST_READY) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove everything that was installed or built; var/ with its data stays
	rm -rf $(VENV) build dist artifacts *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf .coverage .coverage.* tests/interop/node_modules

system-packages: $(TEST_READY)
	@VENV=$(VENV) .ci/system-packages

bench-packages: $(BENCH_READY)
	@VENV=$(VENV) .ci/system-packages bench

$(BIN)/python:
	@PYTHON=$(PYTHON) VENV=$(VENV) .ci/make-venv

$(RUN_READY): $(PROJECT) | $(BIN)/python
	@echo "Installing Gatehouse into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(TEST_READY): $(PROJECT) | $(BIN)/python
	@echo "Installing Gatehouse and its test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $(RUN_READY) $@

# Comes as source: it is built once the system packages are there.
$(KERBEROS_READY): $(TEST_READY) | system-packages
	@echo "Building the door to Kerberos into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test,kerberos]'
	@touch $@

$(BENCH_READY): $(TEST_READY)
	@echo "Installing the rivals that come as wheels into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test,bench]'
	@touch $@

$(NODE_READY): tests/interop/package.json tests/interop/package-lock.json | $(TEST_READY)
	@echo "Installing the foreign clients into tests/interop/node_modules ..."
	@cd tests/interop && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --no-audit --no-fund --silent
	@touch $@
