# Two commands for a fresh machine: `make demo` and `make test`.
# Everything lives in .venv; nothing else of the machine is touched. PYTHON chooses another interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types install clean

demo: install
	$(BIN)/airfast pretrain --preset demo

test: lint types
	$(BIN)/python -m pytest -q

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "airfast needs Python 3.11 to 3.13, found $$($(PYTHON) --version); set PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cpu,dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
