.PHONY: test lint unit

test: lint unit

lint:
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	cargo test --locked --workspace
