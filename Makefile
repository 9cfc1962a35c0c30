# make demo: the whole workflow on a small embedded dataset.   make test: the linters and most tests.
# make test-long: the tests that take longer.
# make test-cluster: the cluster profiles, on a Slurm that it starts on this machine; needs root.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo docs test test-long test-browser test-cluster test-faults test-storage lint clean

# Installed once, and again when the project's dependencies change.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed
	@echo "How far it is, from another terminal: .venv/bin/enas status results/"
	$(BIN)/snakemake --profile workflow/profiles/default --cores 2
	$(BIN)/snakemake --quiet --report results/report.html
	@echo "Results are in results/digits; the network is results/digits/final.pt:"
	@tail -n 1 results/digits/logs/final.log
	@$(BIN)/python -m enas_core.compare results/digits
	@echo "The answer on a page is results/digits/report.html; Snakemake's report is results/report.html."

# On two cores: every test that starts neither Snakemake nor several processes of a training, and the linters.
LONG := tests/workflow tests/parallel tests/spaces/test_full_size_export.py $(patsubst %,tests/faults/test_%.py,kills orphans snakemake workflows)
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile

test: .venv/installed lint
	$(BIN)/pytest $(SIDE_BY_SIDE) tests $(LONG:%=--ignore %)

# Real Snakemake runs, trainings in several processes, interruptions.
test-long: .venv/installed
	$(BIN)/pytest $(SIDE_BY_SIDE) $(LONG)

# Many interruptions of the real stages and of whole workflows, and many files that are changed before they are read:
# make test-faults KILLS=300 MUTATIONS=2000
KILLS ?= 30
MUTATIONS ?= 400
test-faults: .venv/installed
	$(BIN)/pytest tests/faults --kills $(KILLS) --mutations $(MUTATIONS)

# The report in a real browser; installs Chromium and what drives it.
test-browser: .venv/installed
	sh tests/browser/install.sh
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/pytest tests/browser/check_report.py

# The cluster profiles on a real Slurm of one node; installs Slurm, and needs root. Most of the time the tests wait for
# Slurm, and so four of them run at a time, each with a Slurm of its own.
test-cluster: .venv/installed
	sh tests/cluster/install.sh
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[slurm,cluster-generic]'
	$(BIN)/pytest --numprocesses 4 tests/cluster/check_cluster.py

# Data and results in an S3 bucket, of a local server. In an environment of its own: moto's requirements exclude newer
# versions of packages that the pinned ones need.
test-storage:
	$(PYTHON) -m venv .venv-storage
	.venv-storage/bin/pip install --quiet --editable . pytest snakemake-storage-plugin-s3 'moto[server]'
	.venv-storage/bin/pytest tests/storage/check_s3.py

# The pages of docs/ as a site, build/site/docs/index.html; needs no network.
docs: .venv/installed
	$(BIN)/sphinx-build --quiet --fail-on-warning --conf-dir docs . build/site
	@echo "The site is build/site/docs/index.html."

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python tests/workflow/lint.py

clean:
	rm -rf results/digits build .pytest_cache .ruff_cache .hypothesis
