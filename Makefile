# Two commands do all of their own set-up:  make demo  and  make test
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Arguments of the demo, such as DEMO="--size 1920x1080"; DEMO=--help lists them.
DEMO ?=
# Arguments of the faults: names of scenarios, or FAULTS="--seed 7".
FAULTS ?=
# How many files of tests run at the same time; most of the time they wait for hosts.
TESTS_AT_ONCE ?= 2

.PHONY: help demo test faults check bench docs testbed clean

help:
	@echo "make demo   render a picture with map, on two test hosts where this machine can boot them"
	@echo "make test   run all tests, on real hosts where this machine allows it"
	@echo "make faults inject every fault into test hosts for real, and print what came of it (15 minutes)"
	@echo "make check  formatting, lint, types, architecture, generated documents"
	@echo "make bench  measure, beside a reference in the same run"
	@echo "make docs   write the generated documents again"
	@echo "make clean  remove what the commands above made here"

$(STAMP): setup.cfg pyproject.toml tests/prepare
	@tests/prepare venv $(VENV)
	@touch $@

testbed: $(STAMP)
	@tests/prepare testbed $(VENV)

demo: testbed
	@$(BIN)/python examples/mandelbrot.py $(DEMO)

test: testbed
	@$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile -m "not alone"
	@$(BIN)/python -m pytest -m alone

faults: testbed
	@$(BIN)/python -m tests.faults $(FAULTS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/python -m lithops.config --check docs/configuration.md
	$(BIN)/python -m lithops.cli.docs --check docs/cli.md
	$(BIN)/yamllint --strict ansible .ansible-lint .yamllint
	PATH="$(abspath $(BIN)):$$PATH" ansible-lint -q --nocolor ansible

bench: testbed
	@$(BIN)/python -m tests.bench

docs: $(STAMP)
	$(BIN)/python -m lithops.config --write docs/configuration.md
	$(BIN)/python -m lithops.cli.docs --write docs/cli.md

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .ansible
