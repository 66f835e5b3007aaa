# `make chart` proves the Helm chart: rendered by two majors of Helm, held against Kubernetes' schemas, and its
# configurations against the real binary. `make chart UPDATE=1` accepts what is rendered now, and renews the README.
# Included by the Makefile; needs BUILD from it.

CHART_ARGS ?=

# One test: make chart CHART_ARGS='-k memory'
chart:
	@tests/setup build chart
	@$(MAKE) --no-print-directory all
	@MILLRACE=$(BUILD)/millrace tests/tally tests/chart/run $(if $(UPDATE),-u) $(CHART_ARGS)

# The same with a cluster: Kubernetes' API server and controllers, built from source by Go's module proxy (once, ten
# minutes), on which Helm installs, upgrades and rolls back, with the real engine in the pods.
chart-cluster:
	@tests/setup build chart
	@tests/chart/setup_cluster
	@$(MAKE) --no-print-directory all
	@CLUSTER=1 MILLRACE=$(BUILD)/millrace tests/tally tests/chart/run -k test_cluster $(CHART_ARGS)

.PHONY: chart chart-cluster
