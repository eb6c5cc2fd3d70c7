# The words of the house; install.sh and .ci/run call the same ones.
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install check test docs site bench lab lock release

install:  ## make the environment with everything a developer needs
	./install.sh dev

check:  ## format, lint, types on two platforms, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform win32 agent checks scripts
	$(BIN)/lint-imports

test:  ## what a change must pass
	./install.sh test

docs:  ## write the tables and sample files that are made from declarations
	$(BIN)/python docs/generate.py

site: docs  ## the documents as a site, in build/site; asks no other machine for anything
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench:  ## every number we publish, measured again on this machine
	$(BIN)/python -m benchmarks

lab:  ## what needs root, package managers, FUSE, Wine, QEMU or long loops
	$(BIN)/pytest -m lab

COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
LOCK := $(COMPILE) pyproject.toml lock/build.in

lock:  ## resolve every dependency anew; needs uv
	$(COMPILE) lock/pip.in -o lock/pip.txt
	$(COMPILE) lock/wheel.in -o lock/wheel.txt
	$(COMPILE) pyproject.toml -o lock/agent.txt
	$(COMPILE) lock/release.in -o lock/release.txt
	$(COMPILE) lock/standalone.in -o lock/standalone.txt
	$(LOCK) --extra collector -o lock/collector.txt
	$(COMPILE) --extra docs pyproject.toml -o lock/docs.txt
	$(LOCK) --extra collector --extra dev -o lock/dev.txt

release:  ## build twice and compare; wheels, lists of parts, licences, what auditors find
	$(BIN)/python lock/release.py
