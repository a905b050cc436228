# make demo   shows the main job on simulated clusters
# make test   installs what the tests need, and runs all of them
# make bench  measures; nothing is asserted by a stopwatch
# make lint   formatter and clippy
# make image  an OCI image in target/stillpoint-image.tar, without a container engine
# make manifests  renders deploy/manifests/stillpoint.yaml from the chart

CARGO ?= cargo

.PHONY: demo test setup lint bench release image manifests

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
	$(CARGO) build --release --locked

image: release
	deploy/image.sh target/release/stillpoint target/stillpoint-image.tar

# helm believes in the Kubernetes of its own build unless it is told another.
manifests:
	helm template stillpoint deploy/helm/stillpoint --namespace stillpoint --kube-version 1.37.0 \
	  --values deploy/manifests/values.yaml > deploy/manifests/stillpoint.yaml
