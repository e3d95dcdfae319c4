# Everything sets itself up: Python 3.11 or newer (with pip and venv) and make are all that has to be there.

VENV ?= .venv
PEERS ?= .venv-peers
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
ARGS ?=

BIN := $(VENV)/bin
# It looks for the environment on the PATH; with --verifytypes it ignores --pythonpath.
PYRIGHT := PATH="$(abspath $(BIN)):$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
# The variable silences the theme's notice about a successor. Not --quiet: with it, warnings do not count as strict.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Tests of one file stay together: they share what is slow to make. Files come in the order of their names: by default, those
# with the fewest tests come last, which are the longest, and all but one process would wait for them.
XDIST := --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# Looked up when it is used, so that the environment is there.
PARALLEL = $(shell $(BIN)/python -c 'import xdist' 2>/dev/null && echo $(XDIST))

# An installation compiles the kernel, if a C compiler is there.
KERNEL := hatch_build.py src/curricular/_kernel.c
# A stamp is younger than what it was installed from; the tools' stamp implies the demo's.
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev
PEERS_READY := $(PEERS)/.installed-demo

# The core: what every supported Python and the lowest versions have to run. Left out: tests that need PyTorch, JAX, matplotlib,
# scikit-learn or the site, and those of simulated learners, which cost time and depend on no version.
CORE_PYTHONS ?= 3.11 3.12 3.13
LOWEST_PYTHON := 3.12
# Prints the command of Python $$version, if it is installed.
FIND_PYTHON := for python in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done || true
# For each other supported Python that is installed, $$version and its command $$python; ends within the loop.
FOR_EACH_PYTHON = used=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	for version in $(CORE_PYTHONS); do \
		if test $$version = $$used; then continue; fi; \
		python=$$($(FIND_PYTHON)); \
		if test -z "$$python"; then echo "no Python $$version here: not tested"; continue; fi;
CORE_EXTRAS := cli,gymnasium,testing,yaml
CORE_TOOLS := hypothesis pytest-xdist sybil
CORE_TESTS := tests $(XDIST) $(patsubst %,--ignore-glob=tests/test_%*,bench choices crafting demo docs_ examples jax learners mixtures prose unplayable)

.DEFAULT_GOAL := help
# Also every target that `make help` lists.
.PHONY: lowest-environment python-environments $(shell awk -F: '/^[a-z-]+:.*## /{print $$1}' Makefile)

help:  ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-21s%s\n", $$1, $$2}' Makefile

demo: $(DEMO)  ## train an agent with and without a curriculum (options: ARGS="--seeds 3")
	@$(BIN)/curricular demo $(ARGS)

demo-cluster: .venv-rllib/.installed-rllib  ## play on a Ray cluster of three nodes on this machine, and kill its hub and a node
	@.venv-rllib/bin/python examples/cluster_kills.py $(ARGS)

test: $(DEV)  ## run all tests, doctests and code blocks of README and docs (options: ARGS="-k evict")
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-lowest: lowest-environment  ## run the core's tests with the lowest versions that pyproject.toml allows and without the kernel, on Python 3.12 if it is installed
	@CURRICULAR_PURE=1 .venv-lowest/bin/python -m pytest $(CORE_TESTS) $(ARGS)

lowest-environment:
	@version=$(LOWEST_PYTHON); python=$$($(FIND_PYTHON)); \
	$(MAKE) --no-print-directory .venv-lowest/.installed-lowest PYTHON=$${python:-$(PYTHON)}

test-metta: .venv-metta/.installed-metta  ## run the tests that need MettaGrid, in a separate environment
	@.venv-metta/bin/python -m pytest -p no:importnb tests/test_metta.py tests/wrappers/test_mettagrid.py tests/test_examples.py docs/coming-from-metta.md docs/mettagrid.md $(ARGS)

test-rllib: .venv-rllib/.installed-rllib  ## run the tests that need RLlib, in a separate environment
	@.venv-rllib/bin/python -m pytest tests/trainers/test_rllib.py docs/rllib.md $(ARGS)

test-cluster: .venv-rllib/.installed-rllib  ## run the tests that need Ray: a cluster of three nodes on this machine
	@.venv-rllib/bin/python -m pytest tests/cluster/test_ray*.py docs/cluster.md $(ARGS)

test-trl: .venv-trl/.installed-trl  ## run the tests that need TRL, in a separate environment
	@.venv-trl/bin/python -m pytest -W default tests/trainers/test_trl.py tests/trainers/test_reasoning_gym.py tests/trainers/test_slime.py src/curricular/trainers/trl.py src/curricular/trainers/reasoning_gym.py docs/llm-trainers.md $(ARGS)

test-verl: .venv-verl/.installed-verl  ## run the tests that need verl, in a separate environment
	@.venv-verl/bin/python -m pytest -W default tests/trainers/test_verl.py $(ARGS)

test-all: test test-metta test-rllib test-cluster test-trl test-verl  ## run all tests, also those that need an environment of their own

test-pythons: python-environments  ## run the core's tests on every other supported Python that is installed
	@set -e; $(FOR_EACH_PYTHON) .venv-$$version/bin/python -m pytest $(CORE_TESTS) $(ARGS); done

python-environments:
	@set -e; $(FOR_EACH_PYTHON) $(MAKE) --no-print-directory .venv-$$version/.installed-core PYTHON=$$python; done

environments: lowest-environment python-environments  ## set up what test-lowest and test-pythons run in

wheel-check: $(DEV)  ## build sdist and wheel, look into them, and run the quick start from the wheel alone
	@$(BIN)/python scripts/release.py

release-check: $(DEV)  ## as wheel-check, on every supported Python that is installed
	@$(BIN)/python scripts/release.py $$(for version in $(CORE_PYTHONS); do $(FIND_PYTHON); done)

check: $(DEV)  ## check format, lint, spelling, prose, types, import layers and documentation
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell
	$(BIN)/python scripts/prose.py
	$(BIN)/mypy
	$(PYRIGHT)
	$(PYRIGHT) --verifytypes curricular --ignoreexternal
	$(PYRIGHT) --verifytypes metta.cogworks.curriculum --ignoreexternal
	$(BIN)/lint-imports --no-logo
	$(MKDOCS)

format: $(DEV)  ## format the code and apply safe fixes of the linter
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: $(DEV)  ## build the documentation into site/
	$(MKDOCS)

kernel: $(DEV)  ## compile src/curricular/_kernel.c in place, as every installation does
	@$(BIN)/python $(PIP_INSTALL) --no-deps --editable .
	@$(BIN)/curricular --version

bench: $(DEV)  ## measure CPU time and memory of each operation
	@$(BIN)/python benchmarks/cost.py $(ARGS)

bench-peers: $(PEERS_READY)  ## as bench, with other libraries in the same run, in a separate environment
	@$(PEERS)/bin/python benchmarks/cost_peers.py $(ARGS)

bench-compare: $(DEV)  ## compare what two revisions cost, side by side (ARGS="main HEAD")
	@$(BIN)/python benchmarks/compare.py $(ARGS)

bench-sessions: $(DEV)  ## measure the cost of sharing a curriculum between processes
	@$(BIN)/python benchmarks/sessions.py $(ARGS)

bench-sessions-peers: $(PEERS_READY)  ## as bench-sessions, with Syllabus' multiprocessing wrapper in the same run
	@$(PEERS)/bin/python benchmarks/sessions_peers.py $(ARGS)

bench-cluster: $(DEV)  ## measure what one curriculum over a cluster costs: hub, exchange, worker and recovery
	@$(BIN)/python benchmarks/cluster_hub.py $(ARGS)

bench-tickets: $(DEV)  ## measure what tickets cost, beside task ids
	@$(BIN)/python benchmarks/tickets.py $(ARGS)

bench-seeing: $(DEV)  ## measure what recording and watching cost a trainer
	@$(BIN)/python benchmarks/seeing.py $(ARGS)

bench-prompts: $(DEV)  ## measure what a million prompts cost
	@$(BIN)/python benchmarks/prompts.py $(ARGS)

bench-crafting: $(DEV)  ## compare algorithms on a crafting world with PPO; a quarter of an hour of CPU time
	@$(BIN)/python benchmarks/crafting.py $(ARGS)

cluster-chaos: .venv-rllib/.installed-rllib  ## kill workers, agents, hub and nodes of a Ray cluster for some minutes, then check the counts
	@.venv-rllib/bin/python benchmarks/cluster_chaos.py $(ARGS)

storm: $(DEV)  ## kill processes of a session for a minute, then check the counts
	@$(BIN)/python benchmarks/storm.py $(ARGS)

bench-choice: $(DEV)  ## compare algorithms on simulated learners
	@$(BIN)/curricular bench $(ARGS)

bench-choice-peers: $(PEERS_READY)  ## compare choices of this library and of other libraries' own code, in a separate environment
	@$(PEERS)/bin/python benchmarks/choice_peers.py $(ARGS)

bench-level-replay: $(PEERS_READY)  ## compare settings of level replay, here and in Syllabus, in a separate environment
	@$(PEERS)/bin/python benchmarks/level_replay.py $(ARGS)

bench-craftax: .venv-craftax/.installed-craftax  ## compare algorithms on goals of Craftax-Classic, in a separate environment; a quarter of an hour of CPU time
	@.venv-craftax/bin/python -W ignore benchmarks/craftax_goals.py $(ARGS)

bench-time-scale: $(DEV)  ## compare adaptive and fixed time scales on learners of different speeds
	@$(BIN)/python benchmarks/time_scale.py $(ARGS)

bench-recipes: .venv-metta/.installed-metta  ## measure MettaGrid's steps per second with and without a curriculum
	@.venv-metta/bin/python -W ignore benchmarks/recipes.py $(ARGS)

bench-grpo: .venv-trl/.installed-trl  ## compare algorithms on GRPO in TRL with a tiny model; 10 minutes of CPU time
	@.venv-trl/bin/python -W ignore benchmarks/grpo.py $(ARGS)

pictures: $(DEV)  ## make the pictures of docs/seeing.md (those of the page need Chromium)
	@$(BIN)/python scripts/pictures.py

clean:  ## remove environments, caches and build output
	rm -rf src/curricular/*.so .venv .venv-* build dist site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Otherwise make would remove it: it made it only for another file's sake.
.PRECIOUS: %/bin/python
%/bin/python:
	@test -n "$(PYTHON)" || { echo "error: needs Python 3.11 or newer on the PATH; or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $* || { echo "error: $(PYTHON) has no working venv (on Debian: apt install python3-venv)" >&2; exit 1; }

$(DEMO): pyproject.toml $(KERNEL) constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) for the demo: once, some minutes"
	@$(BIN)/python $(PIP_INSTALL) --editable '.[demo]'
	@touch $@

# PufferLib's wheel pins another PyTorch, hence --no-deps; where there is no wheel of it, its tests are skipped.
$(DEV): pyproject.toml $(KERNEL) constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) with all tools: once, some minutes"
	@$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@$(BIN)/python $(PIP_INSTALL) --no-deps --only-binary :all: pufferlib-core || echo "no PufferLib here: its tests are skipped"
	@touch $(DEMO) $@

%/.installed-core: pyproject.toml $(KERNEL) constraints.txt | %/bin/python
	@echo "Setting up $* for the core's tests"
	@$*/bin/python $(PIP_INSTALL) --editable '.[$(CORE_EXTRAS)]' $(CORE_TOOLS)
	@touch $@

%/.installed-lowest: pyproject.toml $(KERNEL) constraints.txt scripts/lowest.py | %/bin/python
	@echo "Setting up $* for the core's tests with the lowest versions"
	@$*/bin/python $(PIP_INSTALL) packaging
	@$*/bin/python scripts/lowest.py >$*/lowest.txt
	@$*/bin/python $(subst constraints.txt,$*/lowest.txt,$(PIP_INSTALL)) --editable '.[$(CORE_EXTRAS)]' $(CORE_TOOLS)
	@touch $@

# MettaGrid needs Python 3.11 or 3.12, and versions that contradict the constraints. Its pytest plugin importnb does not
# work with pytest 9.
%/.installed-metta: pyproject.toml $(KERNEL) | %/bin/python
	@echo "Setting up $* for the tests with MettaGrid: once, some minutes"
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[puffer,testing,yaml]' hypothesis sybil mettagrid==0.26.22
	@$*/bin/python $(PIP_INSTALL) --no-deps --only-binary :all: pufferlib-core
	@touch $@

# RLlib pins a version of Gymnasium that contradicts the constraints.
%/.installed-rllib: pyproject.toml $(KERNEL) | %/bin/python
	@echo "Setting up $* for Ray and RLlib: once, some minutes"
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[gymnasium,testing]' hypothesis sybil 'ray[rllib]==2.60.0' torch==2.13.0
	@touch $@

# TRL asks for versions that the constraints do not know.
%/.installed-trl: pyproject.toml $(KERNEL) | %/bin/python
	@echo "Setting up $* for the tests with TRL: once, some minutes"
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[testing,trl]' hypothesis matplotlib reasoning-gym sybil torch==2.13.0
	@touch $@

%/.installed-craftax: pyproject.toml $(KERNEL) constraints.txt | %/bin/python
	@echo "Setting up $* for Craftax: once, some minutes"
	@$*/bin/python $(PIP_INSTALL) --editable '.[demo]' craftax==1.6.1 flax==0.12.8
	@touch $@

# verl asks for versions that contradict the constraints, and its trainer also needs what follows TransferQueue, some of its
# extra verl-core; the rest of it does not work without a GPU. Its wheels have a package `tests`, which would hide ours.
%/.installed-verl: pyproject.toml $(KERNEL) | %/bin/python
	@echo "Setting up $* for the tests with verl: once, some minutes"
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[testing]' hypothesis sybil torch==2.13.0 verl==0.9.1 TransferQueue cachetools fastapi msgspec pyzmq uvicorn
	@rm -rf $*/lib/python*/site-packages/tests
	@touch $@

$(PEERS_READY): pyproject.toml $(KERNEL) constraints.txt | $(PEERS)/bin/python
	@echo "Setting up $(PEERS): once, some minutes"
	@$(PEERS)/bin/python $(PIP_INSTALL) --editable '.[demo]' 'syllabus-rl==0.7.*' scikit-learn scipy
	@touch $@
