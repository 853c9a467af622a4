# Two commands are enough: `make run` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
STAMP := $(VENV)/.synced
SCALE ?= 1
UI_PORT ?= 3000
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder  # of 2 cores: a test waits a quarter of its time
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

export DAGSTER_DISABLE_TELEMETRY := 1
export GX_ANALYTICS_ENABLED := false
export UV_COMPILE_BYTECODE := 1

.PHONY: help setup run live ui nights template replay train doctor audit sbom docs test endurance notebook peers lint bench clean .system
.DEFAULT_GOAL := help

help:  ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet
	@touch $(STAMP)

setup: $(STAMP)  ## A virtual environment with the locked packages

run: $(STAMP)  ## The nightly job once, against the embedded sandbox, with no network (SCALE=1 DAY=3)
	$(BIN)/python -m pipelines.cli.run --sandbox --scale $(SCALE) $(if $(DAY),--day $(DAY))

live: $(STAMP)  ## The nightly job once, against the real servers, into data/live
	RESTAURACION_DATA_DIR=$${RESTAURACION_DATA_DIR:-data/live} $(BIN)/python -m pipelines.cli.run

ui: $(STAMP)  ## The Dagster UI on 127.0.0.1 against the sandbox (UI_PORT=3000)
	$(BIN)/python -m pipelines.cli.ui --port $(UI_PORT) --scale $(SCALE)

nights: $(STAMP)  ## Night after night over a sandbox that lives; stops at the first broken promise (NIGHTS=30 SEED=2030 SCALE=0.15)
	$(BIN)/python -m tests.nights --nights $(or $(NIGHTS),30) --seed $(or $(SEED),2030) --scale $(if $(filter file,$(origin SCALE)),0.15,$(SCALE))

template: $(STAMP)  ## The Excel workbook that institutions fill in and leave in the inbox
	$(BIN)/python -m pipelines.cli.template

replay: $(STAMP)  ## A release made again from its snapshots, with no network (RELEASE=2026-11-23-1a2b3c4d)
	@test -n "$(RELEASE)" || { echo "which release? make replay RELEASE=…; the table meta.releases lists them"; exit 2; }
	$(BIN)/python -m pipelines.cli.replay "$(RELEASE)"

train: $(STAMP)  ## The linkage model learnt anew from the published file (NAMED="live 2026-11"); look at the difference before committing
	@test -n "$(NAMED)" || { echo 'what are the records? make train NAMED="live 2026-11"'; exit 2; }
	$(BIN)/python -m pipelines.cli.train_linkage --named "$(NAMED)"

doctor: $(STAMP)  ## What is wrong with the set-up: versions, folders, disk, clock, each source with the reason
	$(BIN)/python -m pipelines.cli.doctor

audit: $(STAMP)  ## Known vulnerabilities of the locked packages: needs a network
	$(UV) export --quiet --locked --no-hashes --no-dev --output-file .audit.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	$(UV) tool run --quiet pip-audit --requirement .audit.txt --no-deps --disable-pip; rm -f .audit.txt

sbom: $(STAMP)  ## sbom.cdx.json: what the locked environment is made of (CycloneDX 1.5)
	$(UV) export --quiet --locked --no-dev --format cyclonedx1.5 --output-file sbom.cdx.json

docs: $(STAMP)  ## docs/sources, docs/protocol and the diagram of the model, from registers, contracts and descriptions
	$(BIN)/python -m pipelines.cli.docs

test: $(STAMP) .system  ## The tests of every change, offline; the first time it installs what tests drive: Chromium, PostgreSQL, rsync, bubblewrap
	$(PYTEST)

endurance: $(STAMP) .system  ## The slow rest of the tests: kills, full disks, whole releases rebuilt
	$(PYTEST) -m endurance

.system:
	@command -v chromium >/dev/null && command -v rsync >/dev/null && command -v bwrap >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
		{ command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && \
		$(SUDO) apt-get install --yes --no-install-recommends chromium postgresql rsync bubblewrap >/dev/null; } || \
		echo "Chromium, PostgreSQL, rsync or bubblewrap is missing: their tests are skipped"

notebook: $(STAMP)  ## The analysts' notebook over the published file, in a browser
	$(BIN)/marimo run docs/cuaderno.py

peers: $(STAMP)  ## The clients against Koop and MapServer, installed here: needs a network, and root or sudo
	command -v mapserv >/dev/null && command -v npm >/dev/null || $(SUDO) apt-get install --yes --no-install-recommends cgi-mapserver npm
	mkdir -p .peers && cp -r tests/peers/koop .peers/ && cd .peers/koop && npm install --omit=optional --no-audit --no-fund
	$(BIN)/python -m pytest -m peers tests/peers

lint: $(STAMP)  ## Ruff, mypy, import-linter and sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/sqlfluff lint dbt_like_sql

bench: $(STAMP)  ## Speed and memory, as ratios of one run
	$(BIN)/python -m benchmarks

clean:  ## Remove what runs made (data/) and caches; the environment stays
	rm -rf data .peers .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
