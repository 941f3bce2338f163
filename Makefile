# What a person types. Each target calls scripts in hack/, which do one job each and explain it with --help.

PYTEST := .venv/bin/pytest
# Unit and scenario tests mostly wait (for a retry, for a lease): four at once suit two processors.

ifeq ($(shell command -v python3),)
$(error Python 3.11 or later is missing; on Debian: apt-get install --yes python3)
endif

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test unit generate verify lint format docs clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r target words; do printf '  make %-11s %s\n' "$$target" "$$words"; done

demo: ## two hosts and two guests on this machine, from kubectl apply to ssh (needs root)
	hack/system-packages
	hack/python-env --libvirt
	hack/guest-image
	hack/demo

demo-down: ## end the demo and remove all of it
	hack/demo --down

test: ## everything: set-up, verify, all tests, real guests too (needs root; over an hour, the first time more)
	hack/system-packages
	hack/python-env --libvirt
	hack/control-plane build --with-scheduler
	hack/guest-image
	hack/nginx
	hack/helm
	hack/helm lint --strict charts/innkeeper
	hack/s3-server
	hack/cluster build
	hack/image --check
	hack/sbom
	hack/audit
	hack/verify
	$(PYTEST) tests -n 2 -m "not lab and not alone"
	$(PYTEST) tests -n 2 --dist loadgroup --no-loadscope-reorder -m "lab and not alone" -p no:randomly
	$(PYTEST) tests -m alone -p no:randomly

unit: ## the tests that need no root, no cluster and no libvirt
	hack/python-env --no-libvirt
	hack/helm
	$(PYTEST) tests/unit tests/scenario tests/golden -n 4

generate: ## make CRDs and reference pages from the models
	hack/python-env --no-libvirt
	hack/generate

verify: ## all checks of the code that are no tests
	hack/python-env --no-libvirt
	hack/verify

lint: ## what ruff, mypy and import-linter say
	hack/python-env --no-libvirt
	hack/verify ruff mypy imports

docs: ## the site of the documents, in dist/docs
	hack/python-env --no-libvirt
	hack/docs

format: ## put the code into its form, and mend what ruff can mend
	hack/python-env --no-libvirt
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean: ## remove the Python environment and tool caches (never what runs, nor what is built in ~/.cache)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
