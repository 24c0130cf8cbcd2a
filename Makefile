# `make check` runs what CI runs.
.PHONY: check
check:
	.ci/check
