# The two commands of the README and the three of a developer. Everything uses the one profile (--release), so that
# each dependency compiles once, and keeps its output outside the clone, so that a second clone starts warm.

CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/lakegate
export CARGO_TARGET_DIR ?= $(CACHE)/target
CARGO ?= cargo
RELEASE := $(CARGO_TARGET_DIR)/release
LAKEGATE := $(RELEASE)/lakegate
# --workspace also where one binary is wanted: the features of dependencies are then those of the tests, and a first
# `make test` after a first `make quickstart` does not compile the engine again.
BUILD := $(CARGO) build --release --locked --workspace

.DEFAULT_GOAL := help
.PHONY: quickstart quickstart-federated build test test-deep fuzz lint bench help clean

quickstart: build ## make a sample lake if there is none, start the gateway on loopback (ARGS="--scale 1 --dir DIR ...")
	@exec $(LAKEGATE) quickstart $(ARGS)

quickstart-federated: build ## the same beside a Postgres server of its own, as two catalogs of one SQL (ARGS=...)
	tests/install
	@LAKEGATE=$(LAKEGATE) exec deploy/quickstart/federated $(ARGS)

build: ## compile the gateway and the ingest service
	$(BUILD) --bin lakegate --bin lakegate-ingest

test: build ## every test: Rust, then the Python and Java clients against a running gateway, then ten seconds of each fuzz target
	tests/install
	LAKEGATE_BIN=$(LAKEGATE) $(CARGO) test --release --workspace --locked
	LAKEGATE_BIN=$(LAKEGATE) LAKEGATE_CACHE=$(CACHE) tests/clients/run
	$(MAKE) fuzz SECONDS_EACH=10

test-deep: build ## ten thousand random statements pushed down and not, a hundred thousand under policies and on what they show; 200 kills of a reader of Kafka (SEED=N repeats a run)
	tests/install
	LAKEGATE_BIN=$(LAKEGATE) LAKEGATE_STATEMENTS=10000 LAKEGATE_QUERIES=100000 LAKEGATE_KILLS=200 $(if $(SEED),LAKEGATE_SEED=$(SEED)) \
	  $(CARGO) test --release --workspace --locked --test all -- federation::random security::differential kafka::kill --nocapture

# The house's own crates once more, with counters for libFuzzer; the engine stays as it was compiled.
SECONDS_EACH ?= 60
fuzz: ## SQL, tickets, IPC bodies and policy documents made at random (SECONDS_EACH=60, TARGETS="sql sealed values policies")
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/instrument $(BUILD) --features fuzz/fuzzing \
	  --bin fuzz_sql --bin fuzz_sealed --bin fuzz_values --bin fuzz_policies
	fuzz/run $(RELEASE) $(SECONDS_EACH) $(TARGETS)

lint: ## formatting and lints, as strict as CI
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

bench: ## measure against the floor and the peers, print one table of ratios (ARGS=...)
	$(BUILD) --bins
	LAKEGATE_BIN=$(LAKEGATE) LAKEGATE_CACHE=$(CACHE) $(RELEASE)/bench $(ARGS)

clean: ## remove the build output, the clients' environments and the cached test lake; never a lake of yours
	$(CARGO) clean
	rm -rf $(CACHE)/clients

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
