# `make check` runs what CI runs.
export OMP_WAIT_POLICY = PASSIVE
.PHONY: check lint types imports dead test
check: lint types imports dead test
lint:
	ruff check .
	ruff format --check .
types:
	mypy -p amr_edge
imports:
	lint-imports
dead:
	vulture
	deptry .
test:
	python -m pytest
