# The front door. `make` alone says what there is; each step sets up what it needs, and is quick when
# that is there already.
SHELL  := /bin/sh
PYTHON ?= python3
VENV   ?= .venv
CMAKE  ?= cmake
JOBS   ?= $(shell nproc)
# How long each fuzz target runs in `make test`, and in `make fuzz`.
TEST_FUZZ_SECONDS ?= 5
FUZZ_SECONDS ?= 60
# The environment with the peers (ipykernel, ipyparallel, xeus-python) that `make bench` compares with.
PEERS  ?= .venv-peers
# The environment with the ipykernel that the protocol checks compare with, and with its own tests.
IPYKERNEL ?= .venv-ipykernel
# The Pythons that self-contained wheels are made for; empty: all that tools/pythons.sh finds.
PYTHONS ?=
# `make test WHEELS=no` does without them, where the distribution's sources are out of reach.
WHEELS ?= yes
LAB_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=

bin  := $(abspath $(VENV))/bin
run  := env -u PYTHONDONTWRITEBYTECODE
pip  := $(run) $(bin)/python -m pip --disable-pip-version-check
pins := tools/constraints.txt
asan := ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1

# What goes into the wheel: a change of any of these installs it again.
installed_dirs := protocol kernel engines magics share/jupyter/kernels \
	share/jupyter/labextensions share/jupyter/server-config
sources := CMakeLists.txt pyproject.toml README.md LICENSE $(shell find $(wildcard $(installed_dirs)) \
	\( -name __pycache__ -o -name '*.so*' -o -name '*.md' \) -prune -o -type f -print)

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

lab: build ## all set-up, then JupyterLab on your copy of the tutorial (notebooks/tutorial.ipynb)
	@tools/lab.sh $(bin) $(LAB_ARGS)

build: $(VENV)/.px-installed ## everything into .venv: JupyterLab, kernel, cluster, Cluster tab
	@echo "ready: make lab"

test: build $(VENV)/.px-test $(IPYKERNEL)/.px-ipykernel $(if $(filter yes,$(WHEELS)),wheels) ## all set-up, then every test: C under sanitizers, fuzzers, Python, browser
	$(CMAKE) --preset asan --log-level=WARNING -DPython3_EXECUTABLE=$(bin)/python
	$(CMAKE) --build build/asan -j $(JOBS) -- --quiet
	$(asan) ctest --test-dir build/asan --output-on-failure --progress -j $(JOBS)
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(TEST_FUZZ_SECONDS)
	PATH=$(bin):$$PATH PX_IPYKERNEL=$(abspath $(IPYKERNEL)) $(run) $(bin)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.px-lint ## formatters, linters and the rules of the house
	@tools/lint.sh $(bin) $(JOBS)

fuzz: $(VENV)/.px-test ## every fuzz target for FUZZ_SECONDS (60) each
	$(CMAKE) --preset fuzz --log-level=WARNING -DPython3_EXECUTABLE=$(bin)/python
	$(CMAKE) --build build/fuzz -j $(JOBS) -- --quiet
	@tools/fuzz.sh build/fuzz/fuzz $(FUZZ_SECONDS)

bench: build $(PEERS)/.px-peers ## side by side with ipykernel, xeus-python, ipyparallel and more; writes bench/results.md
	$(CMAKE) -S . -B build/bench -G Ninja --log-level=WARNING -DPX_TESTS=OFF -DPX_TOOLS=ON \
	    -DPython3_EXECUTABLE=$(bin)/python
	$(CMAKE) --build build/bench -j $(JOBS) --target simengine -- --quiet
	$(run) $(bin)/python bench/run.py --peers-python $(PEERS)/bin/python $(BENCH_ARGS)

soak: build $(VENV)/.px-test ## the long forms, then the end-to-end tests for SOAK_MINUTES (10)
	@tools/soak.sh $(bin) $(or $(SOAK_MINUTES),10)

dev: $(VENV)/.px-test ## .venv runs this source tree; the C parts after each `cmake --build build/dev`
	@tools/dev-links.sh $(VENV)
	$(CMAKE) -S . -B build/dev -G Ninja -DPX_IN_TREE=ON -DPX_VENV=$(abspath $(VENV)) \
	    -DPython3_EXECUTABLE=$(bin)/python
	$(CMAKE) --build build/dev -j $(JOBS)

# Written anew after a change of the catalogue in tests/protocol_checks.
protocol-checks: $(VENV)/.px-test
	@cd tests && $(run) $(bin)/python -m protocol_checks.page > ../docs/protocol-checks.md

# Written anew after trying newer versions of what we lean on (pip install -U in .venv, make test).
constraints: $(VENV)/.px-test $(VENV)/.px-lint $(VENV)/.px-wheels
	@tools/constraints.sh $(bin) > $(pins).new && mv $(pins).new $(pins)

wheels: dist/.px-wheels ## a self-contained wheel for each Python here (or PYTHONS="…"), into dist/

clean: ## removes what was built; .venv and notebooks/ stay
	rm -rf build dist $(VENV)/.px-installed

# --- the stamps behind them ----------------------------------------------------------------------
$(VENV)/.px-deps: tools/constraints.txt pyproject.toml
	@tools/system-packages.sh build $(PYTHON)
	@echo "setting up $(VENV): JupyterLab and what the project builds on"
	@[ -x $(bin)/python ] || $(PYTHON) -m venv $(VENV)
	@$(pip) install -q -c $(pins) scikit-build-core $$($(bin)/python tools/requirements.py base lab)
	@touch $@

$(VENV)/.px-installed: $(VENV)/.px-deps $(sources)
	@tools/dev-links.sh --undo $(VENV)
	@echo "building and installing pxkernel into $(VENV)"
	@$(pip) install -q --no-deps --no-build-isolation --force-reinstall .
	@touch $@

$(VENV)/.px-test: $(VENV)/.px-deps tests/ui/package-lock.json tests/stock.txt
	@tools/system-packages.sh test $(PYTHON)
	@echo "setting up what the tests need"
	@$(pip) install -q -c $(pins) $$($(bin)/python tools/requirements.py test libraries)
	@$(pip) install -q --upgrade --no-deps --target $(VENV)/stock -r tests/stock.txt
	@tools/node.sh $(bin)
	@cd tests/ui && PATH=$(bin):$$PATH npm ci --no-audit --no-fund --silent
	@[ -n "$$PX_CHROMIUM" ] || tools/browser.sh $(bin) tests/ui
	@touch $@

$(VENV)/.px-lint: $(VENV)/.px-deps share/jupyter/labextension/package-lock.json
	@tools/system-packages.sh lint $(PYTHON)
	@echo "setting up what the linters need"
	@$(pip) install -q -c $(pins) $$($(bin)/python tools/requirements.py lint)
	@tools/node.sh $(bin)
	@cd share/jupyter/labextension && PATH=$(bin):$$PATH npm ci --no-audit --no-fund --silent
	@touch $@

$(VENV)/.px-wheels: $(VENV)/.px-deps
	@tools/system-packages.sh wheels $(PYTHON)
	@$(pip) install -q -c $(pins) $$($(bin)/python tools/requirements.py wheels)
	@touch $@

dist/.px-wheels: $(VENV)/.px-wheels tools/wheels.sh tools/static-libs.sh $(sources)
	@tools/wheels.sh $(bin) $(or $(PYTHONS),$$(tools/pythons.sh $(bin)/python))
	@touch $@

$(PEERS)/.px-peers: bench/peers.txt bench/peers-more.txt
	@echo "setting up $(PEERS): ipykernel, ipyparallel, xeus-python, Dask, Ray, loky, mpi4py"
	@$(run) tools/peers.sh $(PEERS) $(PYTHON)
	@touch $@

$(IPYKERNEL)/.px-ipykernel: tests/ipykernel.txt tools/ipykernel.sh
	@echo "setting up $(IPYKERNEL): the ipykernel that the protocol checks compare with, and its tests"
	@$(run) tools/ipykernel.sh $(IPYKERNEL) $(PYTHON)
	@touch $@

.PHONY: help lab build test lint fuzz bench soak dev protocol-checks constraints wheels clean
.DEFAULT_GOAL := help
