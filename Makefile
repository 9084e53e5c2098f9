# One door for everything: `make` lists what there is.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test check readers format docs lock clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements/lock.txt requirements/torch.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Install Python 3.11 or name yours: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV), once ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv -r requirements/torch.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements/lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

install: $(READY) ## install everything into .venv

demo: $(READY) ## run the whole product on this machine; ONCE=1 ends after the table
	@$(BIN)/vrthinker demo $(if $(ONCE),--once)

test: $(READY) ## run unit, integration and end-to-end tests with coverage
	@$(PYTEST) --cov --cov-report=term-missing:skip-covered $(ARGS)

check: $(READY) ## lint, format, types, import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Trainers that pin other versions of what we use, so each reads in an environment of its own.
readers: $(READY) ## have ms-swift and LLaMA-Factory read an exported dataset
	@$(BIN)/python -m tests.readers.dataset .readers/set
	@for reader in ms_swift:ms-swift==4.6.0 llama_factory:llamafactory==0.9.5; do \
		script=$${reader%%:*}; venv=.readers/$$script; \
		test -x $$venv/bin/python || $(PYTHON) -m venv $$venv; \
		$$venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt && \
		$(BIN)/uv pip install --quiet --python $$venv/bin/python "$${reader#*:}" && \
		$(BIN)/uv pip uninstall --quiet --python $$venv/bin/python torchvision torchaudio; \
		$$venv/bin/python tests/readers/$$script.py .readers/set || exit 1; \
	done

format: $(READY) ## let ruff fix and format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(READY) ## write the README's table of settings anew
	@$(BIN)/python -c 'import pathlib, re; from backend.cli.settings import markdown_table as t; \
		p = pathlib.Path("README.md"); a, b = "<!-- settings -->", "<!-- /settings -->"; s = p.read_text(encoding="utf-8"); \
		p.write_text(s.partition(a)[0] + f"{a}\n{t()}\n{b}" + s.partition(b)[2], encoding="utf-8")'

lock: ## pin the newest versions that fit into requirements/lock.txt and label-studio.txt
	@$(BIN)/uv pip compile --quiet --upgrade --python $(BIN)/python --python-version 3.11 --all-extras \
		--override requirements/overrides.txt --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements/lock.txt pyproject.toml requirements/build.txt
	@$(BIN)/uv pip compile --quiet --upgrade --python $(BIN)/python --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements/label-studio.txt requirements/label-studio.in

clean: ## remove what the demo and the tests left behind (not .venv)
	@rm -rf .demo .label-studio .cache .readers artifacts .coverage* .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
