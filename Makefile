# `make demo` and `make test` need Python 3.11+ and git; they bring the rest. ARGS="…" is passed on.
# Tests share the work of WORKERS=2 processes; tests/spread.py says which run beside which.
.PHONY: demo up setup servers test check fmt docs bench lock

BIN := .venv/bin
WORKERS := 2
EXPORT := uv export --quiet --no-emit-workspace --format requirements-txt --no-header --no-annotate

demo: setup      ## real meter readings through the whole platform, then a table
	@$(BIN)/caudal demo $(ARGS)

up: setup        ## the platform on this machine, without containers
	@$(BIN)/caudal up $(ARGS)

setup:           ## .venv with the locked packages and our own
	@scripts/setup

servers: setup   ## the servers that tests meet: Mosquitto, PostgreSQL, Redis, InfluxDB
	@$(BIN)/python scripts/servers.py

test: servers check ## everything that CI runs
	@PATH="$(CURDIR)/.venv/servers:$$PATH" $(BIN)/pytest --numprocesses $(WORKERS) $(ARGS)

check: setup     ## style, types, architecture, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m caudal.common.bus.asyncapi --check
	$(BIN)/python -m caudal.gateway_api openapi --check
	$(BIN)/python scripts/proto.py --check

fmt: setup       ## what a machine can put right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup      ## docs/asyncapi and docs/openapi from the code, code from .proto files
	$(BIN)/python -m caudal.common.bus.asyncapi
	$(BIN)/python -m caudal.gateway_api openapi
	$(BIN)/python scripts/proto.py

bench: setup     ## messages/s, latency, CPU and memory of the whole path; then of reads (READS="…" is passed on to them) and of polling
	$(BIN)/python tests/bench/pipeline.py $(ARGS)
	$(BIN)/python tests/bench/reads.py $(READS)
	$(BIN)/python tests/bench/lists.py $(LISTS)
	$(BIN)/python tests/bench/polling.py

lock:            ## requirements*.lock from the members' pyproject.toml; the only target that needs uv
	uv lock --quiet
	$(EXPORT) --all-packages --all-groups --no-group servers --output-file requirements.lock
	$(EXPORT) --all-packages --no-dev --group build --output-file requirements-runtime.lock
	$(EXPORT) --only-group servers --output-file requirements-servers.lock
