# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Everything that is downloaded or made goes below .cache/. Needs make and Python 3.10 or newer.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(CURDIR)/.cache
VENV := $(CACHE)/venv
BIN := $(VENV)/bin
COLLECTION := ansible_collections/redisops/tair
PYTEST_ARGS ?= -n 4 --dist worksteal

export PIP_CACHE_DIR ?= $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Tell what there is to make
	@echo 'redisops.tair: move self-managed Redis and Valkey servers into Tair through their append-only file'
	@echo
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/demo.stamp link ## Two real sources into two real targets on this machine: about two minutes, no root
	@PYTHONPATH=$(CACHE)/collections $(BIN)/python tests/demo/demo.py

.PHONY: test
test: $(VENV)/test.stamp link packages ## Format, types, unit and integration tests on real servers
	@$(MAKE) style types
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/test.stamp link ## Format, types, the rules for Ansible content, documentation, changelog and licences
	@$(MAKE) style types
	cd $(CACHE)/collections/$(COLLECTION) && ANSIBLE_HOME=$(CACHE)/ansible ANSIBLE_COLLECTIONS_PATH=$(CACHE)/collections \
		PATH=$(BIN):$$PATH ansible-lint --offline --profile production galaxy.yml meta plugins roles playbooks examples
	cd $(CACHE)/collections/$(COLLECTION) && ANSIBLE_HOME=$(CACHE)/ansible ANSIBLE_COLLECTIONS_PATH=$(CACHE)/collections \
		PATH=$(BIN):$$PATH antsibull-docs lint-collection-docs --plugin-docs .
	$(BIN)/antsibull-changelog lint
	$(BIN)/reuse --no-multiprocessing lint --quiet

.PHONY: sanity
sanity: ## ansible-test sanity, by each ansible-core that a Python of this machine runs
	@.ci/ansible-test sanity

.PHONY: targets
targets: packages ## ansible-test units and integration, by each ansible-core that a Python of this machine runs
	@.ci/ansible-test units
	@.ci/ansible-test integration

.PHONY: check-all
check-all: $(VENV)/test.stamp link packages ## The tests that meet every library, with each version of ansible-core, redis-py, hiredis and paramiko
	@.ci/check-all

.PHONY: coverage
coverage: $(VENV)/test.stamp link packages ## Which lines of plugins/ the tests run, in Ansible's children too: as long as all tests
	@mkdir -p $(CACHE)/coverage && rm -f $(CACHE)/coverage/*
	COVERAGE_FILE=$(CACHE)/coverage/data $(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	@cd $(CACHE)/coverage && COVERAGE_FILE=$(CACHE)/coverage/data $(BIN)/coverage combine --quiet --rcfile=$(CURDIR)/pyproject.toml
	@COVERAGE_FILE=$(CACHE)/coverage/data $(BIN)/coverage report

.PHONY: site
site: link ## The documentation of plugins and roles as a website
	@.ci/docs-site

.PHONY: bench
bench: $(VENV)/demo.stamp link packages ## Time import, workers, fetch, comparison, inspection and downtime beside their peers, and a fleet: an hour
	$(BIN)/python tests/bench/import_speed.py
	$(BIN)/python tests/bench/workers_speed.py
	$(BIN)/python tests/bench/end_to_end.py
	$(BIN)/python tests/bench/fetch.py
	$(BIN)/python tests/bench/compare_speed.py
	$(BIN)/python tests/bench/inspect_speed.py
	$(BIN)/python tests/bench/downtime.py
	$(BIN)/python tests/bench/fleet.py

.PHONY: build
build: $(VENV)/demo.stamp ## The collection as a file for ansible-galaxy collection install
	@ANSIBLE_HOME=$(CACHE)/ansible $(BIN)/ansible-galaxy collection build --force --output-path $(CACHE)/build

.PHONY: clean
clean: ## Remove everything that was made or downloaded
	rm -rf $(CACHE)

# ---------------------------------------------------------------------------------------------- steps of the above

.PHONY: style
style: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(VENV)/test.stamp link
	cd $(CACHE)/collections && MYPYPATH=. $(BIN)/mypy --cache-dir $(CACHE)/mypy --config-file $(CURDIR)/pyproject.toml \
		$$(find -L $(COLLECTION)/plugins $(COLLECTION)/tests -name '*.py' ! -name snapshot.py)

.PHONY: packages
packages:
	@.ci/debian-packages redis-server redis-tools openssh-server sudo busybox zstd lz4 haproxy nutcracker chromium

# The name that a checkout is imported by.
.PHONY: link
link:
	@mkdir -p $(CACHE)/collections/ansible_collections/redisops
	@[ $(CACHE)/collections/$(COLLECTION)/Makefile -ef Makefile ] || ln -sfn $(CURDIR) $(CACHE)/collections/$(COLLECTION)

$(VENV)/demo.stamp: requirements/demo.txt
	@.ci/virtual-environment $(VENV)
	@echo 'Installing the requirements of the collection ...'
	@$(BIN)/python -m pip install --quiet -r requirements/demo.txt
	@touch $@

$(VENV)/test.stamp: requirements/test.txt $(VENV)/demo.stamp
	@echo 'Installing the requirements of the tests ...'
	@$(BIN)/python -m pip install --quiet -r requirements/test.txt
	@touch $@
