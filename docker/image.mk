# `make image` builds the container image, `make compose-check` looks over what belongs to docker/compose.yaml.
# Included by the Makefile; needs VERSION, REVISION and BUILD from it.

IMAGE ?= millrace:$(VERSION)
BASE  ?= debian:trixie-slim

# With docker, podman or buildah, whichever works here. Name one with ENGINE=podman.
image:
	@docker/build-image "$(IMAGE)" "$(BASE)" "$(VERSION)" "$(REVISION)" $(ENGINE)

compose-check:
	@tests/setup build
	@$(MAKE) --no-print-directory all
	@MILLRACE=$(BUILD)/millrace docker/compose-check

.PHONY: image compose-check
