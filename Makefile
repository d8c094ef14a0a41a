# The front door. `make` alone says what there is.
VENV   ?= .venv
CMAKE  ?= cmake
JOBS   ?= 2

dev: ## build/dev: a tree to work in; .venv then runs the sources, C parts after each build
	$(CMAKE) -S . -B build/dev -G Ninja -DPX_IN_TREE=ON -DPX_VENV=$(abspath $(VENV)) \
	    -DPython3_EXECUTABLE=$(abspath $(VENV))/bin/python
	tools/dev-links.sh $(VENV)
	$(CMAKE) --build build/dev -j $(JOBS)

.PHONY: dev
