# What to run; `make help` explains. The work is done by the scripts in tests/.
SHELL := /bin/bash
export DISE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dise
export CARGO_TARGET_DIR ?= $(DISE_CACHE)/cargo-target

.DEFAULT_GOAL := help
.PHONY: help demo test up down kubeconfig deploy example bench lint unit generate

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: deploy ## Set everything up and run the sentiment example on real texts
	@tests/testbed/example sentiment

test: lint unit ## Run all tests

up: ## Start the test cluster (nothing to do where KUBECONFIG names a cluster)
	@tests/cluster/cluster up

down: ## Remove the test cluster; downloads and builds stay in the cache
	@tests/cluster/cluster down

kubeconfig: ## Print the path of the test cluster's kubeconfig
	@tests/cluster/cluster kubeconfig

deploy: ## Build the images and install or upgrade DiSE
	@tests/testbed/deploy

example: ## Run one example end to end: make example NAME=sentiment
	@tests/testbed/example "$(NAME)"

lint: ## Check formatting, lints and licences of everything
	@tests/lint

unit: ## Run the tests that need no cluster
	cargo test --locked --workspace

generate: ## Write the CRDs and the API reference from the types
	cargo run --locked -p dise-crds --bin crdgen -- yaml
	cargo run --locked -p dise-crds --bin crdgen -- reference
	charts/sync-crds
