PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/ganimation
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help recipe test check docs clean

help:  ## Say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

recipe: .venv/.recipe  ## Train GANimation on the embedded faces and write pictures, metrics and the model to runs/ganimation
	$(BIN)/python examples/ganimation_recipe.py --output $(RUN)

test: .venv/.dev  ## Run the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

check: .venv/.dev docs  ## What a contributor runs: format, lint, strict types, doctests, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --doctest-modules src/aucond -q -n auto

docs: .venv/.dev  ## Build the documentation; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean:  ## Remove what was built, keep what was trained
	rm -rf .venv docs/_build docs/_generated dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.recipe: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,faces]"
	touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@
