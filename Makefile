# Every target does its own set-up. AIRBYTE_DAGSTER_HOME, PYTHON and PYTEST_ARGS can be set from outside.
VENV := .venv
BIN := $(VENV)/bin
export AIRBYTE_DAGSTER_HOME ?= $(CURDIR)/.airbyte-dagster
# Packages are installed without bytecode, which is written as they are used, also where this is set.
unexport PYTHONDONTWRITEBYTECODE
# Tests begin in their own order, the slowest first, and not by how many of them share a worker.
PYTEST_ARGS ?= -n 3 --dist loadgroup --no-loadscope-reorder

.PHONY: help run dev test test-clients test-production soak lint format types benchmark screenshots pins dist sbom audit clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' | column -t -s '|'

run: $(VENV)/ready ## Run the pipeline once and show what arrived
	@$(BIN)/airbyte-dagster run

dev: $(VENV)/ready ## Start local Airbyte and Dagster's UI together, until Ctrl-C
	@$(BIN)/airbyte-dagster dev

test: $(VENV)/ready ## Run every test but those of the heavy clients
	@scripts/system-packages initdb=postgresql mariadbd=mariadb-server chromium=chromium curl=curl openssl=openssl
	@$(BIN)/airbyte-dagster local connectors install faker file
	$(BIN)/python -m pytest -m "not clients and not production" $(PYTEST_ARGS)

test-clients: $(VENV)/ready ## Run the heavy clients of other people (Airflow, Dagster, PyAirbyte, Postman, Java)
	@scripts/system-packages npm=npm mvn=maven javac=default-jdk-headless
	@$(BIN)/airbyte-dagster local connectors install faker
	$(BIN)/python -m pytest -m clients $(PYTEST_ARGS) airbyte_dagster_tests/clients

# Hosts can't write bytecode: what they import is compiled before.
test-production: $(VENV)/ready ## Run the example's deployment on hosts of their own, and have them fail (root, 15 minutes)
	@scripts/system-packages ip=iproute2 initdb=postgresql redis-server=redis-server
	@$(BIN)/python -m compileall -qq $(VENV)/lib airbyte_dagster airbyte_dagster_tests benchmarks
	$(BIN)/python -m pytest -n 0 -p no:randomly -m "production and not soak" airbyte_dagster_tests/production

soak: $(VENV)/ready ## Have such a deployment work for SOAK_MINUTES (120), and show what grew (root)
	@scripts/system-packages ip=iproute2 initdb=postgresql
	@$(BIN)/python -m compileall -qq $(VENV)/lib airbyte_dagster airbyte_dagster_tests benchmarks
	$(BIN)/python -m pytest -n 0 -p no:randomly -m soak airbyte_dagster_tests/production

lint: $(VENV)/ready ## Check style, format and which layer imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/ready ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/ready ## Check types, strictly
	$(BIN)/python -m mypy

benchmark: $(VENV)/ready ## Measure the figures of the README
	@$(BIN)/python -m benchmarks

screenshots: $(VENV)/ready ## Make the pictures of the docs anew
	@scripts/system-packages chromium=chromium
	@$(BIN)/python -m scripts.screenshots

PINNED := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	--no-annotate --no-header

pins: $(VENV)/ready ## Renew the requirements files from pyproject.toml, with hashes
	$(PINNED) --extra local --extra dev pyproject.toml -o requirements.txt
	$(PINNED) --group release -o requirements-release.txt

dist: $(VENV)/release-ready ## Build the wheel and the sdist into dist/, and check them
	@scripts/release dist

sbom: dist ## Write what the wheel is installed with, as CycloneDX, into dist/
	@scripts/release sbom

audit: $(VENV)/release-ready ## Look for known vulnerabilities of the pinned packages
	@$(VENV)/release/bin/python scripts/audit.py requirements.txt requirements-release.txt

clean: ## Remove the environment and all that local Airbyte and Dagster keep here
	rm -rf $(VENV) .airbyte-dagster

$(VENV)/ready: requirements.txt pyproject.toml setup.cfg scripts/environment
	@scripts/environment $(VENV)

$(VENV)/release-ready: $(VENV)/ready requirements-release.txt
	@scripts/release environment
	@touch $@
