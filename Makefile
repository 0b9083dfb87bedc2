# What to run; `make help` explains. The work is done by the scripts in tests/.
SHELL := /bin/bash
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export DISE_CACHE ?= $(cache)/dise
export CARGO_TARGET_DIR ?= $(DISE_CACHE)/cargo-target

.DEFAULT_GOAL := help
.PHONY: help demo test up down kubeconfig deploy example bench lint unit charts e2e generate

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: deploy ## Set everything up and run the sentiment example on real texts
	@tests/testbed/example sentiment

test: ## Run all tests: lint, unit, charts, and those on the cluster
	@tests/run

up: ## Start the test cluster (nothing to do where KUBECONFIG names a cluster)
	@tests/cluster/cluster up

down: ## Remove the test cluster; downloads and builds stay in the cache
	@tests/cluster/cluster down

kubeconfig: ## Print the path of the cluster's kubeconfig
	@tests/cluster/cluster kubeconfig

deploy: ## Build the images and install or upgrade DiSE
	@tests/testbed/deploy

example: ## Run one example end to end: make example NAME=sentiment
	@tests/testbed/example "$(NAME)"

bench: deploy ## Measure, against a peer or a limit taken in the same run
	@tests/bench/run

lint: ## Check formatting, lints and licences of everything
	@tests/lint

unit: ## Run the tests that need no cluster
	@tests/run unit

charts: ## Check the Helm charts
	@tests/run charts

e2e: ## Run the tests on the cluster
	@tests/run e2e

generate: ## Write the CRDs and the API reference from the types
	cargo run --locked --release -p dise-crds --bin crdgen -- yaml
	cargo run --locked --release -p dise-crds --bin crdgen -- reference
	charts/sync-crds
