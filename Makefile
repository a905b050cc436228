# make demo   shows the main job on simulated clusters
# make test   installs what the tests need, and runs all of them
# make bench  measures; nothing is asserted by a stopwatch
# make lint   formatter and clippy

CARGO ?= cargo

.PHONY: demo test setup lint bench release

demo:
	$(CARGO) run -- demo

test: setup lint
	$(CARGO) test --no-fail-fast

setup:
	tests/setup.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

bench:
	$(CARGO) bench --bench stillpoint

release:
	$(CARGO) build --release
