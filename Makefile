# The commands of this project; `make help` lists them. Each installs missing tools first (see
# scripts/setup) and can be repeated at any time.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# The README documents the location of the binary.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET

BINARY := target/release/auditstream
# Written when a build starts; valid as long as BUILT_BINARY is a link to the binary of that build.
BUILT := target/release/.auditstream-complete
BUILT_BINARY := target/release/.auditstream-binary
# Includes folders: removing a file makes its folder newer than the build.
SOURCES := $(shell find .cargo Cargo.toml Cargo.lock rust-toolchain.toml model engine app frontend server style migrations \
	-name tests -prune -o -name benches -prune -o -print 2>/dev/null)
RESULTS := target/test-results

# pipefail is set here because the make of macOS is too old for .SHELLFLAGS.
tools := set -o pipefail && . scripts/env &&
# On this machine's platform the frontend is an empty crate.
server_side := --workspace
browser_side := --package frontend --target wasm32-unknown-unknown
shell_scripts := scripts/setup scripts/setup.d/wasm-library scripts/env scripts/count fuzz/run .ci/run

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' Makefile

.PHONY: run
run: build ## Build and serve a demo with separate data
	exec $(BINARY) serve --demo $(ARGS)

.PHONY: build
build: setup-build $(BUILT) ## Build target/release/auditstream, a single self-contained file

# A binary that plain `cargo build` has replaced since may contain an older site, or none.
$(BUILT): $(SOURCES) $(if $(shell [[ $(BINARY) -ef $(BUILT_BINARY) ]] && echo same),,another-binary)
	@mkdir -p $(@D) && touch $@.new
	@echo "build: 1 of 2: the browser's half (WebAssembly, styles), about 3 minutes from nothing on two cores"
	$(tools) cargo leptos build --release --precompress --frontend-only --cargo-locked
	@echo "build: 2 of 2: the server with the browser's half in it, about 9 minutes from nothing on two cores"
	$(tools) cargo build --release --locked --bin auditstream
	@ln -f $(BINARY) $(BUILT_BINARY) && mv $@.new $@

.PHONY: another-binary
another-binary:

.PHONY: test
test: lint test-rust test-api test-browser ## Run every check and test
	@scripts/count $(RESULTS)

.PHONY: format
format: setup-build
	$(tools) cargo fmt --all --check

.PHONY: lint
lint: setup-test format ## Check style, wording, spelling and dependencies
	$(tools) cargo clippy --locked $(server_side) --all-targets -- --deny warnings
	$(tools) cargo clippy --locked $(browser_side) -- --deny warnings
	$(tools) cargo deny --locked --log-level error check bans licenses sources
	$(tools) ! cargo tree --locked --workspace --target all --invert aws-lc-sys 2>/dev/null
	if [[ -f end2end/tsconfig.json ]]; then cd end2end && npx tsc --noEmit; fi
	if command -v shellcheck >/dev/null; then shellcheck -x -a $(shell_scripts); fi
	$(tools) typos
	@scripts/prose

.PHONY: test-rust
test-rust: setup-test ## Run the Rust tests
	@mkdir -p $(RESULTS)
	$(tools) RUST_BACKTRACE=0 cargo test --locked $(server_side) 2>&1 | tee $(RESULTS)/rust.log

bench := cargo bench --locked --package auditstream-server --bench table

.PHONY: bench
bench: setup-test ## Measure ingest, storage, search and streaming next to the limits of the machine
	$(tools) $(bench)

.PHONY: bench-quick
bench-quick: setup-test ## Measure the same with a small trail, in about two minutes
	$(tools) AUDITSTREAM_BENCH_QUICK=1 $(bench)

LARGE := 50000000

.PHONY: bench-large
bench-large: setup-test ## Measure a trail of LARGE events; it can be interrupted and continues
	$(tools) AUDITSTREAM_BENCH_LARGE=$(LARGE) $(bench)

# About half an hour. Set AUDITSTREAM_SEED to repeat a run.
SOAK_SEED := $(or $(AUDITSTREAM_SEED),$(shell date +%s))
soak_numbers := AUDITSTREAM_SEED=$(SOAK_SEED) AUDITSTREAM_MODEL_PROGRAMS=4000 AUDITSTREAM_KILLS=200 AUDITSTREAM_CASES_TIMES=10 \
	AUDITSTREAM_FORGERIES=5000

.PHONY: soak
soak: setup-test ## Run random programs, crashes, kills and fuzzing for half an hour
	@mkdir -p $(RESULTS)
	@echo "seed $(SOAK_SEED)"
	$(tools) $(soak_numbers) cargo test --locked --package auditstream-engine --test it -- --nocapture \
		crash:: forger::changes:: kills:: model:: properties:: 2>&1 | tee $(RESULTS)/soak.log
	$(tools) fuzz/run 120 2>&1 | tee $(RESULTS)/fuzz.log
	@grep -E '^[0-9]+ (forgeries|kills|programs)|^Done|^test result' $(RESULTS)/soak.log $(RESULTS)/fuzz.log

.PHONY: test-browser
test-browser: setup-test build ## Run the browser tests against the built binary
	@mkdir -p $(RESULTS)
	$(tools) cd end2end && npx playwright test 2>&1 | tee ../$(RESULTS)/browser.log

.PHONY: test-api
test-api: setup-test build ## Test the API of the built binary against /openapi.json
	@mkdir -p $(RESULTS)
	$(tools) end2end/api/run 2>&1 | tee $(RESULTS)/api.log

.PHONY: fmt
fmt: setup-build ## Format the Rust code
	$(tools) cargo fmt --all

.PHONY: setup-build
setup-build:
	@scripts/setup build

.PHONY: setup-test
setup-test:
	@scripts/setup test
