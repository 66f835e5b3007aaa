# `make chart` proves the Helm chart: rendered by two majors of Helm, held against Kubernetes' schemas, and its
# configurations against the real binary. `make chart UPDATE=1` accepts what is rendered now, and renews the README.
# Included by the Makefile; needs BUILD from it.

CHART_ARGS ?=

# One test: make chart CHART_ARGS='-k memory'
chart:
	@tests/setup build chart
	@$(MAKE) --no-print-directory all
	@MILLRACE=$(BUILD)/millrace tests/tally tests/chart/run $(if $(UPDATE),-u) $(CHART_ARGS)

.PHONY: chart
