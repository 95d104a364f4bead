# make demo    annotate a real face with the bundled model, without PyTorch
# make test    install everything that the tests need and run every check
# make check   the same checks in the environment as it is
# make clean   remove the environment and what the demo wrote
#
# Needs Python 3.11 or later with venv, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check clean
.DEFAULT_GOAL := help
# Where venv or pip fails half-way, the next start begins anew.
.DELETE_ON_ERROR:
# So does the next start after the Python that the environment was made with is gone.
$(shell test -x $(BIN)/python || rm -f $(VENV)/.demo $(VENV)/.test)

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is older than Python 3.11: name another, as in make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# The stamps lie in the environment: without it, nothing is installed.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

# constraints.txt names the PyTorch that the tests were written against.
$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/python pipelines/demo.py

test: $(VENV)/.test
	$(MAKE) check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile

clean:
	rm -rf $(VENV) out/demo .pytest_cache .ruff_cache .hypothesis .import_linter_cache
