# make demo: install into .venv and train on the demo. make test: everything that .ci/run runs.
# make test-mxnet: install MXNet's last release into an environment of its own and compare with it (Linux, x86-64).
# make fuzz: give damaged and invented files to every parser, SECONDS=30 each, and fail on a finding (Linux, x86-64).
# make faults: kill a save, and let it fail, at every system call of it (Linux).
# make cluster: runs on several hosts, a Slurm cluster and 64 ranks, which this machine plays for them (Linux, root).
# make soak: disturb trainings by FAULTS=200 random faults (40 minutes), and fail if anything is lost (Linux).
# make pictures: draw every screen of the console, with made-up runs, into docs/pictures.
# make snapshots: write tests/console/snapshots anew, every screen as text, three as SVG; look at the difference before it is committed.
# make losses: train on the demo with every loss and put the table into benchmarks/RESULTS.md (half an hour).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MXNET := .venv-mxnet

SECONDS ?= 30
FAULTS ?= 200

# the tests start hundreds of Pythons, each of which would compile everything again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo losses pictures snapshots test test-mxnet fuzz soak faults cluster cluster-short check install clean

demo: $(VENV)/.demo
	$(BIN)/arcterm train tiny arcface --lr 0.1 --epochs 12 --verify-every 250

losses: $(VENV)/.installed
	$(BIN)/python benchmarks/losses.py

pictures: $(VENV)/.installed
	$(BIN)/python docs/pictures/make.py

snapshots: $(VENV)/.installed
	rm -f tests/console/snapshots/*.txt tests/console/snapshots/*.svg
	ARCTERM_SNAPSHOTS=1 $(BIN)/python -m pytest tests/console/test_snapshots.py

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not long and not cluster" -n 2 --dist worksteal
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "(slow or long) and not cluster" -n 2 --dist worksteal --ignore tests/mxnet

test-mxnet: $(VENV)/.installed $(MXNET)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/mxnet -n 2

fuzz: $(VENV)/.installed
	$(BIN)/python -m fuzz.run --seconds $(SECONDS)

faults: $(VENV)/.installed
	ARCTERM_EVERY_FAULT=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults --timeout 3600 --durations 5

cluster: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster --durations 5

cluster-short: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "cluster and not long" --durations 5

soak: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m soak.run --faults $(FAULTS)

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

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e .
	touch $@

$(MXNET)/.installed: tests/mxnet/requirements.txt
	$(PYTHON) -m venv $(MXNET)
	$(MXNET)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/mxnet/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(MXNET) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
