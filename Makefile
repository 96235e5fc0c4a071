# Every target installs what it needs first; `make` alone lists the targets.
SHELL := /bin/bash
BIN := .venv/bin
HOME_DIR := .kindred
PORT ?= 8080

.DEFAULT_GOAL := help
.PHONY: help install engines extras demo serve lint test test-long bench requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make .venv from the hash-pinned requirement files, with .venv/bin/kindred
	@./requirements/install.sh

engines: install ## install the real servers that tests start: Redis, Kafka, PostgreSQL (Debian)
	@./requirements/engines.sh

extras: install ## install the optional parts: neural models (torch, onnxruntime), MLflow
	@./requirements/extras.sh

demo: install ## import the sample, train, serve, and show recommendations changing with events
	@rm -rf $(HOME_DIR)/demo
	@KINDRED_HOME=$(HOME_DIR)/demo $(BIN)/kindred demo

serve: install ## serve the sample on PORT (default 8080) until stopped
	@export KINDRED_HOME=$(HOME_DIR)/serve; \
	if [ ! -e $(HOME_DIR)/serve.ready ]; then \
	  $(BIN)/kindred import --sample && $(BIN)/kindred train && touch $(HOME_DIR)/serve.ready; \
	fi && exec $(BIN)/kindred serve --port $(PORT)

lint: install ## style, types and import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .import-contracts.log || { cat .import-contracts.log; exit 1; }
	@echo "lint: style, types and import contracts are clean"

test: lint ## lint, then every test but the long ones
	@$(BIN)/pytest -rsfE --no-fold-skipped

test-long: install ## the long tests alone
	@$(BIN)/pytest -rsfE --no-fold-skipped -m long --timeout 1800

bench: install ## print the benchmark tables
	@$(BIN)/python -m benchmarks.run $(TABLES)

requirements: install ## pin the requirement files anew (needs uv)
	@./requirements/pin.sh

clean: ## remove .venv, caches and the demo's data
	@rm -rf .venv .kindred .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .import-contracts.log dist
