# make demo: install into .venv and train on the demo. make test: everything that .ci/run runs.
# make losses: train on the demo with every loss and put the table into benchmarks/RESULTS.md (half an hour).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo losses test check install clean

demo: $(VENV)/.installed
	$(BIN)/arcterm train tiny arcface --lr 0.1 --epochs 12 --verify-every 250

losses: $(VENV)/.installed
	$(BIN)/python benchmarks/losses.py

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
