# From a fresh clone: `make study` sets everything up, trains, and ends with a report. `make ps1` repeats the course
# experiment. CONTRIBUTING.md describes the other targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEEDS := pyproject.toml constraints.txt
SEED ?= 0
# Two test files at a time, because most tests wait for their own processes and leave a core idle. Test folders are in
# memory if possible, because a record waits for the disk at each commit.
PARALLEL := -n 2 --dist loadfile

.PHONY: study ps1 check site test long fuzz chaos mutants bench gallery

study: $(VENV)/.installed
	$(BIN)/study run ml100k $(ARGS)

ps1: $(VENV)/.installed
	$(BIN)/study run ps1 $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/contracts/test_layers.py

site: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

test: $(VENV)/.installed-dev
	@folder=$$(mktemp -d -p /dev/shm 2> /dev/null || mktemp -d); \
	echo $(BIN)/pytest $(PARALLEL) --basetemp=$$folder; \
	$(BIN)/pytest $(PARALLEL) --basetemp=$$folder; status=$$?; rm -rf $$folder; exit $$status

long: $(VENV)/.installed-dev
	$(BIN)/pytest $(PARALLEL) -m 'long or hypothesis' --hypothesis-profile=more

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
