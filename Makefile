# make demo   shows the main job on simulated clusters
# make test   installs what the tests need, and runs all of them
# make bench  measures; nothing is asserted by a stopwatch
# make lint   formatter and clippy
# make image  an OCI image in target/stillpoint-image.tar, without a container engine
# make aws-check REGION=us-east-1  runs window, tracking, materializing and restore in your own AWS account
# make manifests  renders deploy/manifests/stillpoint.yaml from the chart

CARGO ?= cargo

.PHONY: demo test setup lint bench release image manifests aws-check

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

# Two on-demand tables of two rows with point-in-time recovery, two restores of each, one backup of each, for an hour or
# so: everything is deleted at the end. YES=1 spares the question.
aws-check:
	@test -n "$(REGION)" || { echo "which region? make aws-check REGION=us-east-1"; exit 2; }
	@echo "In the AWS account of your environment, region $(REGION), this makes two tables stillpointcheck.*, temporary"
	@echo "tables and backups stillpoint-*, and deletes all of them. By list prices it costs less than 0.05 US dollars."
	@test -n "$(YES)" || { printf "Go on? [y/N] "; read answer; test "$$answer" = y; }
	STILLPOINT_AWS_CHECK_REGION=$(REGION) $(CARGO) test --test aws check::for_real -- --ignored --nocapture
