# Two commands for a fresh machine: `make demo` and `make test`.
# Everything lives in .venv; nothing else of the machine is touched. PYTHON chooses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash

.PHONY: demo test lint types docs install clean

demo: install
	$(BIN)/airfast pretrain --preset demo

test: lint types docs
	$(BIN)/python -m pytest -q

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy

docs: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>&1 | grep -v INFO; exit $${PIPESTATUS[0]}

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "airfast needs Python 3.11 to 3.13, found $$($(PYTHON) --version); set PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cpu,dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
