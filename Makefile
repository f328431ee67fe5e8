# From a fresh clone: `make study` sets everything up, trains, and ends with a report.
# `make ps1` repeats the course experiment, `make check` is the fast gate, `make test` the whole suite,
# `make fuzz` looks longer for input that breaks a reader, `make chaos` kills studies at random moments (SEED=7 for other
# moments), `make mutants` breaks the code to see its tests fail, `make bench` writes docs/benchmarks.md,
# `make gallery` docs/report.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEEDS := pyproject.toml constraints.txt
SEED ?= 0
# two files of tests at once: most wait for processes of their own, and leave a core idle
BESIDE := -n 2 --dist loadfile

.PHONY: study ps1 check test fuzz chaos mutants bench gallery

study: $(VENV)/.installed
	$(BIN)/study run ml100k

ps1: $(VENV)/.installed
	$(BIN)/study run ps1

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/contracts/test_layers.py

test: $(VENV)/.installed-dev
	$(BIN)/pytest $(BESIDE)

fuzz: $(VENV)/.installed-dev
	$(BIN)/pytest -m fuzz --hypothesis-profile=long --timeout=3600

chaos: $(VENV)/.installed-dev
	$(BIN)/pytest -m chaos --chaos-seed=$(SEED)

mutants: $(VENV)/.installed-dev
	$(BIN)/pytest -m mutants

bench: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks

gallery: $(VENV)/.installed
	$(BIN)/python docs/gallery.py

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(NEEDS) | $(BIN)/pip
	$(BIN)/pip install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(NEEDS) | $(BIN)/pip
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $(VENV)/.installed $@
