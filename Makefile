# Needs Python 3.11 to 3.13 and make. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_PYTHON_DOWNLOADS := never
# Company networks re-sign traffic with certificates that only the system knows.
export UV_SYSTEM_CERTS ?= true
export TABLEWATCH_HOME ?= $(CURDIR)/.tablewatch

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13 3,$(shell command -v python$(v))))
UV := $(or $(shell command -v uv),.uv/bin/uv)
RUN := $(UV) run --frozen --no-sync

.PHONY: help setup demo ui dashboard screenshots test test-fast lint format schema promises mutants env compose-test postgres chromium java spark bench bench-spark bench-detection soak clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv

.venv/.synced: uv.lock pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) sync --frozen --python $(PYTHON)
	@touch $@

setup: .venv/.synced ## Make .venv with everything that the lock file pins

demo: setup ## The main job on real data: train on 28 nights of flights, score three, show what is wrong and why
	$(RUN) python -m demo.run

ui: setup ## Airflow with the demo's DAGs on http://127.0.0.1:8080; Ctrl-C ends it
	$(RUN) python -m demo.ui

dashboard: setup ## What was found, on http://127.0.0.1:8501; Ctrl-C ends it
	$(RUN) tablewatch dashboard

screenshots: setup ## Take the documentation's pictures again, of what `make demo` left; needs Chromium
	$(RUN) python -m demo.screenshots

test: setup ## All tests; those that need PostgreSQL, Chromium or Java are skipped where it is not installed (see below)
	$(RUN) pytest -n 2 --dist loadfile

test-fast: setup ## The tests that take no more than a few seconds each
	$(RUN) pytest -n 2 --dist loadfile -m "not slow and not fault and not browser and not spark"

lint: setup ## ruff, mypy --strict, the import contracts of the house
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

format: setup ## Let ruff put the code in order
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

schema: setup ## Write docs/monitor.schema.json again after a change of the monitor's keys
	$(RUN) python -c "import json; from pipeline.monitor import json_schema; print(json.dumps(json_schema(), indent=2))" > docs/monitor.schema.json

promises: setup ## List in docs/promises.md the tests that keep each promise
	$(RUN) python -m tests.promises

mutants: setup ## Break each promise on purpose and see that a test notices; NUMBERS='22 35' tries a few
	$(RUN) python -m tests.mutants $(NUMBERS)

env: ## Make the secrets of docker-compose.yml in .env, or add what it lacks (needs no setup)
	@$(PYTHON) deploy/env.py

compose-test: setup ## Build the images, bring the stack up, kill parts of it, take it down (needs Docker; half an hour)
	TABLEWATCH_TEST_COMPOSE=1 $(RUN) pytest -m compose tests/compose

postgres: ## Install PostgreSQL's server programs (Debian, root) for the tests that need a real one
	command -v apt-get && apt-get install --yes --no-install-recommends postgresql

chromium: ## Install Chromium (Debian, root) for the tests that look at the dashboard
	command -v apt-get && apt-get install --yes --no-install-recommends chromium

java: ## Install a headless Java (Debian, root) for the tests that score on Spark
	command -v apt-get && apt-get install --yes --no-install-recommends default-jre-headless

spark: setup ## Score on a real Spark master with two workers on loopback, one of which is killed; installs Java if there is none
	command -v java >/dev/null || $(MAKE) java
	$(RUN) pytest -m spark tests/spark tests/dags/test_tablewatch_spark.py

bench-spark: setup ## Local scoring beside Spark's on the same partition; MASTER=spark://host:7077, RECORDS='50000 200000'
	$(RUN) python benchmarks/spark.py $(if $(MASTER),--master $(MASTER)) $(if $(RECORDS),--records $(RECORDS))

bench: setup ## How well the detector finds planted errors in real flights
	$(RUN) python benchmarks/planted.py

DATA ?= benchmarks/data
bench-detection: setup ## The detector beside its peers on the labelled sets (*.npz with X and y) in DATA=folder
	$(RUN) python benchmarks/detection.py --data $(DATA) --out detection.csv

soak: setup ## A hundred nights in one process with random faults: what was injected and what survived
	$(RUN) python benchmarks/soak.py

clean: ## Remove what the targets made, the demo's home included
	rm -rf .venv .uv .tablewatch dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
