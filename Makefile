# Every target does its own set-up: a virtual environment with the versions pinned in constraints.txt.
# Another interpreter: make test PYTHON=python3.12      Another place: make test VENV=/somewhere

PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
PYTEST_ARGS ?=

# Python would put the repository's root first on the path, where `kernels` shadows the package of that name.
export PYTHONSAFEPATH := 1
# A virtual environment or path that happens to be active would mix its packages with the pinned ones.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

READY := $(VENV)/.ready
OLDEST := $(VENV)-oldest
OLDEST_READY := $(OLDEST)/.ready
RUN := $(VENV)/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint test-oldest large classes budget kernels wheel constraints clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo         search for an activation function on real data; writes runs/demo/report.html'
	@echo 'make test         ruff, mypy and the test suite'
	@echo 'make lint         ruff and mypy alone'
	@echo 'make test-oldest  the test suite on the oldest torch supported (7.4 GB of disk)'
	@echo 'make large        the tests that need tens of gigabytes or many minutes'
	@echo 'make classes      are the classes of the three-node space right? (some minutes)'
	@echo 'make budget       are the kernels fast enough? their instructions, read from the machine code (half an hour)'
	@echo 'make kernels      on a GPU: are the kernels right there, and as fast as memory? (half an hour)'
	@echo 'make wheel        build the source distribution and the wheel into dist/'
	@echo 'make constraints  pin anew what a clean environment installs'
	@echo 'make clean        remove what these targets made, runs/ excepted'

setup: $(READY)

demo: $(READY)
	$(RUN) actc search run --task digits --out runs/demo

test: lint
	$(RUN) pytest -n $(JOBS) $(PYTEST_ARGS)

lint: $(READY)
	$(RUN) ruff check --output-format concise .
	$(RUN) mypy

large: $(READY)
	$(RUN) pytest -m large $(PYTEST_ARGS)

classes: $(READY)
	$(VENV)/bin/python bench/classes.py

budget: $(READY)
	$(VENV)/bin/python bench/ahead_of_time.py

kernels: $(READY)
	$(RUN) pytest tests/gpu $(PYTEST_ARGS)
	$(VENV)/bin/python bench/kernels.py --workers $(JOBS)

test-oldest: $(OLDEST_READY)
	$(OLDEST)/bin/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

wheel: $(READY)
	$(RUN) build --no-isolation --outdir dist .

# $(call environment,FOLDER) makes a virtual environment there. A finished one is only brought up to date; one whose
# making was interrupted has no stamp and is made anew, since pip cannot tell a half-written package from a whole one.
# Two makes would break each other's: the lock names the process that is at it, and is void when that is gone.
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'actc needs Python 3.11 or newer, but $(PYTHON) is not: name another with make PYTHON=...' >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo '$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv' >&2; exit 1; }
@mkdir -p $(dir $(1)); if test -f $(1).lock && kill -0 "$$(cat $(1).lock)" 2>/dev/null; then \
	echo 'another make is setting up $(1): wait until it is done' >&2; exit 1; else echo $$PPID > $(1).lock; fi
@if test -e $(1)/.ready && $(1)/bin/python -c pass; then rm $(1)/.ready; else $(PYTHON) -m venv --clear $(1); fi
endef

# setuptools comes first, so that the package is built by the pinned one and not by one fetched for the build alone.
$(READY): pyproject.toml constraints.txt
	$(call environment,$(VENV))
	$(RUN) pip install --quiet --constraint constraints.txt setuptools
	$(RUN) pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@rm $(VENV).lock
	@touch $@

# 7.4 GB: for Linux pip offers torch 2.8 with CUDA alone, and importing it without a GPU still loads 12 of the 14 packages
# of CUDA libraries that it names; leaving out the other two would save a twentieth. The interpreter of its triton fails
# with numpy 2.4.
$(OLDEST_READY): pyproject.toml constraints.txt
	$(call environment,$(OLDEST))
	grep -v -E '^(torch|triton|numpy)==' constraints.txt > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt setuptools
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt --no-build-isolation \
		--editable '.[dev]' torch==2.8.0 'numpy<2.4'
	@rm $(OLDEST).lock
	@touch $@

# torch keeps its pin: its newer builds for Linux bring several GB of CUDA, and triton has to match it.
constraints:
	$(call environment,$(VENV)-constraints)
	grep -E '^(torch|triton)==' constraints.txt > $(VENV)-constraints/pins.txt
	$(VENV)-constraints/bin/python -m pip install --quiet --constraint $(VENV)-constraints/pins.txt --editable '.[dev]'
	{ sed -n '/^#/p' constraints.txt; \
	  $(VENV)-constraints/bin/python -m pip freeze --all --exclude-editable | \
	  sed -n -e '/^pip==/d' -e 's/+[a-z0-9.]*$$//' -e '/==/p'; } > $(VENV)-constraints/constraints.txt
	mv $(VENV)-constraints/constraints.txt constraints.txt
	rm -rf $(VENV)-constraints $(VENV)-constraints.lock

clean:
	rm -rf $(VENV) $(OLDEST) $(VENV)-constraints $(VENV).lock $(OLDEST).lock build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
