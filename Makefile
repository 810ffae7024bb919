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
.PHONY: help quickstart test setup develop lint types imports unit bench clean

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

unit: $(DEVELOP) ## pytest
	$(BIN)/pytest

bench: $(RUNTIME) ## every benchmark, the quick form
	@set -e; for file in $(wildcard benchmarks/*.py); do \
		echo "$$file"; $(BIN)/python "$$file" --quick; done

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
