# Thin lines over commands that also run by themselves. PYTHON picks the interpreter for a new .venv, ARGS goes to the command.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help venv demo up test check bench chaos
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

venv: $(STAMP) ## the environment in .venv: made when missing, brought up to date when setup.cfg changes

demo: $(STAMP) ## the whole story against sandbox systems, step by step (ONCE=1 ends after it)
	@$(BIN)/crm1c demo $(if $(ONCE),--once) $(ARGS)

up: $(STAMP) ## web, worker and beat on this machine, beside sandbox systems
	@$(BIN)/crm1c up --sandbox $(ARGS)

test: $(STAMP) ## every test, with private PostgreSQL, RabbitMQ and Redis (ARGS="-k invoice -x")
	@$(BIN)/pytest -n 2 --no-loadscope-reorder $(ARGS)

check: $(STAMP) ## lint, format, types, import contracts and the pure tests, in less than a minute
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict mappers integration tasks
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -n 2 -m "not servers and not slow" tests/integration tests/mappers tests/rules $(ARGS)

bench: $(STAMP) ## measurements, each printed with its bar (ARGS="--help")
	@$(BIN)/python -m bench $(ARGS)

chaos: $(STAMP) ## servers and workers killed under load, invariants checked, figures printed
	@CRM1C_TEST_DEALS=1000 CRM1C_TEST_LETTERS=500 $(BIN)/pytest tests/delivery -v $(ARGS)

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'crm1c needs Python 3.11 or newer: make venv PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo 'The venv module of $(PYTHON) is missing; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@
