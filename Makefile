PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo dev stop test check format bench bench-schedules bench-streams docs lock packages clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: try make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## boot with nothing installed, run a demo agent, leave the server running
	$(BIN)/appstrate demo

dev: $(VENV)/.runtime ## serve in the foreground
	$(BIN)/appstrate serve

stop: $(VENV)/.runtime ## stop the server that demo left running
	$(BIN)/appstrate stop

test: $(VENV)/.dev ## run every test
	$(BIN)/python -m pytest $(TESTS)

check: $(VENV)/.dev ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure this build
	$(BIN)/python -m bench

packages: $(VENV)/.runtime ## build the archives in system-packages/ from their sources
	$(BIN)/python -m appstrate packages build system-packages/sources system-packages

bench-schedules: $(VENV)/.dev ## try schedules: 200 at once, and one every second over a kill -9
	$(BIN)/python -m bench schedules

docs: $(VENV)/.dev ## write the pages of docs/ that are made from the code
	PYTHONPATH=tests $(BIN)/python -m support.coverage
bench-streams: $(VENV)/.dev ## try a thousand open streams
	$(BIN)/python -m bench streams

lock: $(VENV)/.dev ## resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --group pyproject.toml:build -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group pyproject.toml:dev -c requirements.lock -o requirements-dev.lock

clean: ## remove the environment and caches, never data/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
