# wherry: everything a person or a CI does here, by name.
#   make demo    a page fetched from a container through a published port
#   make test    every test lane
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-rootless test test-vm lint format bench docs lock registry-image clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from
LOCK := requirements/dev.lock
PYTEST_ARGS ?=

help:
	@printf '%s\n' \
	  'make demo    install what is needed, run a container, fetch its page, clean up' \
	  'make demo-rootless  the same as an ordinary user, by a daemon of his own' \
	  'make test    all tests (as root; starts and removes its own daemons)' \
	  'make test-vm the tests that need a stock kernel (cgroup v2, AppArmor, systemd): in QEMU' \
	  'make lint    format, ruff, mypy --strict, the import contracts' \
	  'make bench   ratios to a real dockerd, side by side' \
	  'make registry-image  the registry as the image registry:2, for the daemon at $$DOCKER_HOST' \
	  'make docs    write the generated pages under docs/' \
	  'make lock    resolve the dependencies anew and pin them by hash'

# Debian packages and a virtual environment from the lock; quick when nothing is missing.
setup:
	@tools/packages
	@$(MAKE) --no-print-directory --silent $(STAMP)

$(STAMP): $(LOCK) pyproject.toml
	tools/venv $(VENV) $(LOCK)
	@touch $@

demo: setup
	$(BIN)/python demo/first_light.py

demo-rootless: setup
	$(BIN)/python demo/rootless.py

test: setup
	@tools/reference
	@tools/moto || echo 'no S3 server could be installed: its tests will be skipped' >&2
	$(BIN)/pytest $(PYTEST_ARGS)

# Two machines, because there is one process 1: the plain one first.
test-vm: setup
	@tools/packages qemu-system-x86 e2fsprogs
	tools/vm pytest -v tests/vm $(PYTEST_ARGS)
	tools/vm --systemd pytest -v tests/vm $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	@tools/reference
	$(BIN)/python bench/ratios.py
	$(BIN)/python bench/oci_runtime.py
	$(BIN)/python bench/distribution.py

docs: setup
	$(BIN)/python tools/differences.py docs/differences.md
	$(BIN)/python tools/conformance.py docs/conformance.md
	$(BIN)/python tools/conformance.py docs/registry-conformance.md distribution

lock: setup
	tools/lock

registry-image: setup
	$(BIN)/python tools/registry_image.py

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
