# Two targets do everything: `make quickstart` and `make test`. `make help` lists the others.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	2>/dev/null && echo $$python && break; done)
PIP_INSTALL := $(BIN)/pip install --constraint constraints.txt --build-constraint constraints.txt

# Stamps: a step runs again only when what it was made from has changed.
SYSTEM := $(VENV)/.system-packages
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.installed
DEVELOP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help quickstart test setup develop lint types imports unit bench gpu clean
.PHONY: server worker deploy ui

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/\1|\2/' | \
		awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'

quickstart: setup ## install everything, then run SANE on handwritten digits
	$(BIN)/sane run deployments/quickstart.yaml

test: lint types imports unit ## install everything, then check everything

setup: $(RUNTIME) ## install system packages, .venv and what a run needs
develop: $(DEVELOP) ## the same, and what the checks need

lint: $(DEVELOP) ## ruff: rules and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEVELOP) ## mypy on schemas and sane_core
	$(BIN)/mypy

imports: $(DEVELOP) ## import contracts between the layers
	$(BIN)/lint-imports

unit: $(DEVELOP) ## pytest, a folder of tests at a time on each of two workers
	$(BIN)/pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

bench: $(RUNTIME) ## every benchmark, the quick form
	@set -e; for file in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do \
		echo "$$file"; $(BIN)/python "$$file" --quick; done

gpu: $(RUNTIME) ## what is still to be measured on a GPU, for some minutes; resumed by the next call
	$(BIN)/python benchmarks/gpu.py

# The Prefect server and what talks to it, in this folder; docs/deployment.md.
server worker deploy ui: export DO_NOT_TRACK := true
server worker deploy: export PREFECT_HOME ?= $(CURDIR)/.prefect/server
server worker deploy: export PREFECT_API_URL ?= http://127.0.0.1:4200/api

server: $(RUNTIME) ## a Prefect server and its page, http://127.0.0.1:4200
	$(BIN)/prefect server start --host 127.0.0.1 --analytics-off

worker: $(RUNTIME) ## a Prefect worker: runs what is submitted, one at a time
	$(BIN)/prefect worker start --pool sane --type process --limit 1

deploy: $(RUNTIME) ## tell the server what deployments/prefect.yaml holds
	$(BIN)/prefect work-pool create sane --type process --overwrite
	$(BIN)/prefect --no-prompt deploy --all --prefect-file deployments/prefect.yaml

ui: $(RUNTIME) ## MLflow's page, http://127.0.0.1:5000
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db --host 127.0.0.1

clean: ## remove caches (keeps .venv, store and runs)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(SYSTEM): scripts/system-packages
	scripts/system-packages "$(PYTHON)"
	@mkdir -p $(VENV) && touch $@

$(CREATED): $(SYSTEM)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --upgrade pip
	@touch $@

$(RUNTIME): $(CREATED) pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[ffcv]'
	@touch $@

$(DEVELOP): $(CREATED) pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[ffcv,dev]'
	@touch $(RUNTIME) $@
