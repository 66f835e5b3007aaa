# `make image` builds the container image; `make compose-check` looks over what belongs to docker/compose.yaml;
# `make image-test` builds and tries the image without a container engine. Included by the Makefile; needs VERSION,
# REVISION and BUILD from it.

IMAGE ?= millrace:$(VERSION)
BASE  ?= debian:trixie-slim

# With docker, podman or buildah, whichever works here. Name one with ENGINE=podman.
image:
	@docker/build-image "$(IMAGE)" "$(BASE)" "$(VERSION)" "$(REVISION)" $(ENGINE)

image-test:
	@tests/image/build $(SUITE)

compose-check:
	@tests/setup build
	@$(MAKE) --no-print-directory all
	@MILLRACE=$(BUILD)/millrace tests/image/compose

.PHONY: image image-test compose-check
