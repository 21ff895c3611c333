# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
COLLECTIONS := $(CURDIR)/.collections
LINK := .collections/ansible_collections/nettriage/linux
REPORT ?= $(CURDIR)/nettriage-report
HOSTS = $(if $(INVENTORY),-i '$(INVENTORY)',-i localhost$(,) -c local -e ansible_python_interpreter='$(CURDIR)/.venv/bin/python')
RUN := $(PYTHON) -m tests.tools.check

# Ansible refuses to start in a locale that is not UTF-8.
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif

.PHONY: help audit tune rollback test lint site unit fuzz project page targets sanity molecule lab bench demo clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z][a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 16
	@echo
	@echo 'make audit INVENTORY=hosts.yml     audit a fleet'
	@echo 'make audit ARGS="-b --limit web"   anything that ansible-playbook takes'

# One run's terminal shows hosts and findings, not Ansible's remarks about itself.
audit tune rollback: export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS):$(or $(ANSIBLE_COLLECTIONS_PATH),$(HOME)/.ansible/collections:/usr/share/ansible/collections)
audit tune rollback: export ANSIBLE_LOCALHOST_WARNING := 0
audit tune rollback: export ANSIBLE_DEPRECATION_WARNINGS := 0
audit tune rollback: export ANSIBLE_NOCOWS := 1
audit tune rollback: export ANSIBLE_PYTHON_INTERPRETER ?= auto_silent
audit tune rollback: export ANSIBLE_PIPELINING ?= 1
audit tune rollback: export ANSIBLE_FORKS ?= 25
audit: .venv/.installed $(LINK) ## audit this host, or INVENTORY=..., and say where the page is
	@.venv/bin/ansible-playbook nettriage.linux.audit $(HOSTS) -e audit_report_dir='$(REPORT)' $(ARGS)

tune: .venv/.installed $(LINK) ## tune this host, or INVENTORY=...; CHECK=1 shows the plan and changes nothing
	@.venv/bin/ansible-playbook nettriage.linux.tune $(HOSTS) $(if $(CHECK),--check --diff) $(ARGS)

rollback: .venv/.installed $(LINK) ## undo the last tuning of this host, or INVENTORY=...
	@.venv/bin/ansible-playbook nettriage.linux.rollback $(HOSTS) $(ARGS)

demo: .venv/.installed $(LINK) ## a small fleet with real faults in network namespaces, audited (root)
	@.venv/bin/python tests/lab/demo.py '$(REPORT)'

test: ## everything: lint, unit, fuzz, project, page, targets, sanity, molecule, lab, bench
	@$(RUN)

lint: ## ruff, mypy, ansible-lint, yamllint, docs, changelog, licences, build
	@$(RUN) lint

site: ## the documentation as a site, in .cache/docs/build/html
	@$(RUN) site

unit: ## unit tests on every Python that is installed
	@$(RUN) unit

fuzz: ## every parser of foreign data and the rule engine, for some seconds each
	@$(RUN) fuzz

project: ## the documents, the built archive, make audit in a fresh copy
	@$(RUN) project

page: ## the report in a browser, and by axe-core (chromium, npm)
	@$(RUN) page

targets: ## the modules on every Python, by every supported ansible-core
	@$(RUN) targets

sanity: ## ansible-test sanity of every supported ansible-core
	@$(RUN) sanity

molecule: ## the playbooks on systemd containers of three releases, made of Debian packages (root, podman)
	@$(RUN) molecule

lab: ## real faults in network namespaces (root)
	@$(RUN) lab

bench: ## the speed goals
	@$(RUN) bench

clean: ## remove environments, caches and reports
	rm -rf .venv .cache .collections .mypy_cache .ruff_cache .pytest_cache .hypothesis nettriage-report playbooks/nettriage-report

, := ,

.venv/.installed: requirements.txt tests/tools/environment.py
	@echo 'Making .venv with ansible-core, jmespath and netaddr (once) ...'
	@$(PYTHON) tests/tools/environment.py .venv requirements.txt

$(LINK):
	@mkdir -p $(dir $@)
	@ln -sfn ../../.. $@
