# Every target is complete on a machine that has Python 3.11 and make. uv is used when present and
# bootstrapped into the environment when not; plain pip works too: make serve INSTALLER=pip
PYTHON ?= python3
VENV ?= .venv
CHATTERBOX_VENV ?= .venv-chatterbox
INSTALLER ?= uv
CONFIG ?= configs/serve.yaml
ARGS ?=

BIN := $(VENV)/bin
CHATTERBOX_BIN := $(CHATTERBOX_VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# A config whose engines are Chatterbox's runs in the environment that has torch.
NEEDS_TORCH := $(shell grep -s 'name: chatterbox' $(CONFIG))

ifeq ($(INSTALLER),uv)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode
CHATTERBOX_INSTALL = $(UV) pip install --quiet --python $(CHATTERBOX_BIN)/python --compile-bytecode
else
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
CHATTERBOX_INSTALL = $(CHATTERBOX_BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev serve test check format bench bench-library bench-conversion \
	bench-presets bench-words bench-chatterbox bench-gpu consistency \
	setup-node screenshots setup-chatterbox setup-dev-chatterbox test-chatterbox check-chatterbox lock clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

serve: $(if $(NEEDS_TORCH),setup-chatterbox,setup)  ## Start the service on 127.0.0.1:7860 (ARGS="--port 8000")
	@$(if $(NEEDS_TORCH),$(CHATTERBOX_BIN),$(BIN))/serve-app up --config $(CONFIG) $(ARGS)

test: setup-dev  ## Run every test that needs neither torch nor a GPU (ARGS="-k scheduler")
	$(BIN)/pytest $(ARGS)

check: setup-dev  ## Lint, format check, strict types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup-dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev  ## Measure the HTTP path against the raw engine (ARGS="--quick")
	$(BIN)/python -m benchmarks.http $(ARGS)

bench-library: setup-dev  ## Measure listing and deleting with 100,000 outputs (ARGS="--quick")
	$(BIN)/python -m benchmarks.library $(ARGS)

bench-conversion: setup-dev  ## Measure voice conversion and draw its spectrograms (ARGS="--quick")
	$(BIN)/python -m benchmarks.conversion $(ARGS)

bench-presets: setup-dev  ## Measure the named voices and draw their map (ten minutes)
	$(BIN)/python -m benchmarks.presets $(ARGS)

bench-words: setup-dev  ## Measure how well the embedded voice knows when it says a word
	$(BIN)/python -m benchmarks.word_timings $(ARGS)

bench-chatterbox: setup-dev-chatterbox  ## Measure T3 and S3Gen on one CPU thread (quarter of an hour)
	$(CHATTERBOX_BIN)/python -W ignore -m benchmarks.t3 $(ARGS)
	$(CHATTERBOX_BIN)/python -W ignore -m benchmarks.s3gen $(ARGS)

bench-gpu: setup-dev-chatterbox  ## Measure Chatterbox on a GPU (ten minutes)
	$(CHATTERBOX_BIN)/python -W ignore -m benchmarks.gpu $(ARGS)

setup-node: tests/node/node_modules/.package-lock.json  ## Install OpenAI's Node SDK for the tests that use it

tests/node/node_modules/.package-lock.json: tests/node/package-lock.json
	npm ci --prefix tests/node --no-audit --no-fund

screenshots: setup-dev  ## Take the pictures of the page in docs/screenshots
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

consistency: setup-dev  ## Ten processes on the same voices for a minute (2 s of it are in make test)
	SERVE_APP_TEST_CONSISTENCY_SECONDS=60 $(BIN)/pytest tests/unit/test_library_consistency.py $(ARGS)

setup: $(VENV)/.base  ## Create the environment from hashed pins
setup-dev: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
ifeq ($(INSTALLER),uv)
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
endif

$(VENV)/.base: requirements/base.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Installing the environment into $(VENV) (once) ..."
	@$(INSTALL) --require-hashes -r requirements/base.txt -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/recordings.txt $(VENV)/.base
	@echo "Installing the test tools into $(VENV) (once) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --require-hashes --no-deps -r requirements/recordings.txt
	@touch $@

setup-chatterbox: $(CHATTERBOX_VENV)/.chatterbox  ## Create an environment with torch and Chatterbox (gigabytes)

$(CHATTERBOX_VENV)/.chatterbox: requirements/base.txt requirements/build.txt requirements/chatterbox.txt pyproject.toml | $(BIN)/python
	@echo "Installing torch and Chatterbox into $(CHATTERBOX_VENV) (once; some gigabytes) ..."
	@test -x $(CHATTERBOX_BIN)/python || $(PYTHON) -m venv $(CHATTERBOX_VENV)
	@$(CHATTERBOX_INSTALL) --require-hashes --no-deps -r requirements/chatterbox.txt -r requirements/build.txt
	@$(CHATTERBOX_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

test-chatterbox: setup-dev-chatterbox  ## Run the tests of Chatterbox, with random weights on the CPU
	$(CHATTERBOX_BIN)/pytest tests/chatterbox $(ARGS)

check-chatterbox: setup-dev setup-dev-chatterbox  ## Check the types of the Chatterbox engine
	$(BIN)/pyright -p pyrightconfig.chatterbox.json

setup-dev-chatterbox: $(CHATTERBOX_VENV)/.dev

$(CHATTERBOX_VENV)/.dev: requirements/dev.txt requirements/recordings.txt $(CHATTERBOX_VENV)/.chatterbox
	@$(CHATTERBOX_INSTALL) --require-hashes --no-deps -r requirements/dev.txt -r requirements/recordings.txt
	@touch $@

lock: | $(BIN)/python  ## Compile the hashed pins again
	$(COMPILE) pyproject.toml -o requirements/base.txt
	$(COMPILE) requirements/build.in -c requirements/base.txt -o requirements/build.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/base.txt -c requirements/build.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra chatterbox -c requirements/base.txt -c requirements/build.txt -c requirements/dev.txt -o requirements/chatterbox.txt
	$(COMPILE) requirements/recordings.in --no-deps -o requirements/recordings.txt

clean:  ## Remove the environment and caches
	rm -rf tests/node/node_modules $(VENV) $(CHATTERBOX_VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis
