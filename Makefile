# Every target sets up what it needs, so `git clone ... && make demo` is enough.

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(shell cat .python-version)
UV_VERSION := 0.13.9
PRIVATE_UV := .uv/$(UV_VERSION)/bin/uv
# uv from PATH, if one is there and takes pyproject.toml's required-version (--version does not look
# at it, `cache dir` does); else a private copy, installed by pip.
UV := $(shell uv cache dir >/dev/null 2>&1 && echo uv || echo $(PRIVATE_UV))

BIN := .venv/bin
ENVIRONMENT := .venv/.synced-$(PYTHON)
# Two processes, each taking whole files: most of a test's time is Python's, on one core.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder
UNIT := "not slow and not real_data and not faults and not kubeflow"

# docker, podman or buildah, whichever is there; may have flags, as in ENGINE="podman --storage-driver=overlay".
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))))
IMAGE ?= auto-compressor
# Flags of the build, such as --build-arg BASE=... or --build-arg EXTRAS="--extra vertex --extra s3 --extra gpu".
BUILD_FLAGS ?=

export TF_CPP_MIN_LOG_LEVEL ?= 3
export UV

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(ENVIRONMENT) ## Install the locked environment into .venv
	@echo "The environment is ready. Next: make demo, or for images of your own:"
	@echo "  source .venv/bin/activate && compressor run --config examples/pictures.yaml --data DIR"

# A new environment needs more than Python: told at once, before anything is downloaded.
.PHONY: prerequisites
prerequisites:
	@build/prerequisites $(PYTHON)

.PHONY: demo
demo: $(ENVIRONMENT) ## Compress a model of the digits: the whole pipeline, no download, minutes
	$(BIN)/compressor run --config examples/digits.yaml

# Coverage is of the unit tests alone, and not for test-fast: measuring it takes a third more time.
.PHONY: test
test: $(ENVIRONMENT) | $(filter $(PRIVATE_UV),$(UV)) ## Run the unit tests with coverage, then whole runs, searches and trainings
	$(PYTEST) -m $(UNIT) --cov=compressor_lib --cov=components --cov=pipelines --cov-report=term --cov-fail-under=80
	$(PYTEST) -m "(slow or real_data) and not long and not faults and not kubeflow"

.PHONY: test-fast
test-fast: $(ENVIRONMENT) | $(filter $(PRIVATE_UV),$(UV)) ## Run the unit tests alone
	$(PYTEST) -m $(UNIT)

.PHONY: test-all
test-all: test ## Run all that make test runs, then the long tests: other variants, new environments
	$(PYTEST) -m "long and not faults and not kubeflow"

.PHONY: faults
faults: $(ENVIRONMENT) ## Do harm, and print what was survived: half an hour; KILLS=30: two in each node
	$(BIN)/python -m pytest -m "faults or survives" tests

# Pods take mounts of their own, and so root; the binaries are not ours, and docs/kubeflow.md says how to come by them.
.PHONY: kubeflow-test
kubeflow-test: $(ENVIRONMENT) ## Run packages on Kubeflow's own programs: KFP_BIN=FOLDER[:FOLDER...] [MARIADB=FOLDER]
	@test -n "$(KFP_BIN)" || { echo "error: KFP_BIN names no folder with Kubeflow's binaries: docs/kubeflow.md says how to come by them" >&2; exit 1; }
	KFP_BIN="$(KFP_BIN)" MARIADB="$(MARIADB)" $(BIN)/python -m pytest --no-cov -m "" tests/kubeflow

.PHONY: goldens
goldens: $(ENVIRONMENT) ## Write the compiled packages that tests compare with anew
	REFRESH_GOLDENS=1 $(BIN)/python -m pytest --no-cov -q tests/pipelines/kubeflow/test_package.py -k as_they_were

.PHONY: image
image: ## Build the image that nodes run in: IMAGE, ENGINE, BUILD_FLAGS
	@test -n "$(ENGINE)" || { echo "error: there is no docker, podman or buildah on the PATH: install one" >&2; exit 1; }
	$(ENGINE) build --file build/Dockerfile --tag $(IMAGE) --build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_FLAGS) .

.PHONY: image-test
image-test: image $(ENVIRONMENT) ## Build the image and run a compiled pipeline's nodes in it
	COMPRESSOR_IMAGE=$(IMAGE) COMPRESSOR_ENGINE="$(ENGINE)" $(BIN)/python -m pytest --no-cov tests/image

.PHONY: lint
lint: $(ENVIRONMENT) ## Check style, formatting, and that every import's package is declared
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry compressor_lib components pipelines
	$(BIN)/deptry compressor_lib --ignore DEP002 --optional-dependencies-dev-groups pipelines,vertex,s3,gpu,dev

.PHONY: format
format: $(ENVIRONMENT) ## Put style and formatting right, where a tool can
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

.PHONY: types
types: $(ENVIRONMENT) ## Check the types
	$(BIN)/mypy

.PHONY: imports
imports: $(ENVIRONMENT) ## Check that imports go one way
	$(BIN)/lint-imports

# Not --quiet, with which MkDocs does not count warnings, and --strict lets everything pass.
.PHONY: docs
docs: $(ENVIRONMENT) ## Build the documentation into site/; a broken link fails
	set -o pipefail; NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict 2>&1 | { grep -v ^INFO || true; }

.PHONY: bench
bench: $(ENVIRONMENT) ## Measure speed, print tables; FULL=1: on all images, at full size
	$(BIN)/python -m benchmarks $(if $(FULL),--full)

.PHONY: lock
lock: | $(filter $(PRIVATE_UV),$(UV)) ## Bring uv.lock up to date with pyproject.toml
	$(UV) lock --python $(PYTHON)

.PHONY: audit
audit: | $(filter $(PRIVATE_UV),$(UV)) ## Look the locked packages up among known vulnerabilities
	@.ci/audit

.PHONY: clean
clean: ## Delete caches and build leftovers; keeps .venv and runs
	rm -rf dist site *.egg-info htmlcov coverage.xml .coverage .coverage.*
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.*' -prune -exec rm -rf {} +

# Compiled at once: where processes may not write bytecode, each would compile all that it imports, for 10 s and more.
$(ENVIRONMENT): pyproject.toml setup.py uv.lock | $(if $(wildcard $(BIN)/python),,prerequisites) $(filter $(PRIVATE_UV),$(UV))
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --locked --compile-bytecode --python $(PYTHON) --extra pipelines --extra dev
	@touch $@

$(PRIVATE_UV):
	python3 -m venv .uv/$(UV_VERSION)
	.uv/$(UV_VERSION)/bin/python -m pip install --quiet uv==$(UV_VERSION)
