# The commands of this project; `make help` lists them. Each first sets up what is missing (see scripts/setup) and can
# be repeated at any time.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# The README promises where the binary lands.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET

BINARY := target/release/auditstream
# When the build began whose binary the link beside it still is.
BUILT := target/release/.auditstream-complete
BUILT_BINARY := target/release/.auditstream-binary
# Folders too: one is newer than the build when a file in it was removed.
SOURCES := $(shell find Cargo.toml Cargo.lock model engine app frontend server style migrations \
	-name tests -prune -o -name benches -prune -o -print 2>/dev/null)
RESULTS := target/test-results

# With pipefail here, because the make of macOS is too old for .SHELLFLAGS.
tools := set -o pipefail && . scripts/env &&
# The frontend asks for the browser's half of the pages, which cannot be combined with the server's.
server_side := --workspace --exclude frontend
browser_side := --package frontend --target wasm32-unknown-unknown

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' Makefile

.PHONY: run
run: build ## Set up what is missing, build, and serve a demo on data of its own
	exec $(BINARY) serve --demo $(ARGS)

.PHONY: build
build: setup-build $(BUILT) ## Build target/release/auditstream, the one file with everything in it

# A binary that `cargo build` alone has made since may hold an older site, or none.
$(BUILT): $(SOURCES) $(if $(shell [[ $(BINARY) -ef $(BUILT_BINARY) ]] && echo same),,another-binary)
	@mkdir -p $(@D) && touch $@.new
	$(tools) cargo leptos build --release --precompress
	@ln -f $(BINARY) $(BUILT_BINARY) && mv $@.new $@

.PHONY: another-binary
another-binary:

.PHONY: test
test: lint test-rust test-api test-browser ## Every check and test
	@scripts/count $(RESULTS)

.PHONY: format
format: setup-build
	$(tools) cargo fmt --all --check

.PHONY: lint
lint: setup-test format ## Check formatting and style of Rust, TypeScript and shell scripts
	@mkdir -p target/site
	$(tools) cargo clippy --locked $(server_side) --all-targets -- --deny warnings
	$(tools) cargo clippy --locked $(browser_side) -- --deny warnings
	if [[ -f end2end/tsconfig.json ]]; then cd end2end && npx tsc --noEmit; fi
	if command -v shellcheck >/dev/null; then shellcheck -x -a scripts/setup scripts/setup.d/wasm-library scripts/env scripts/count .ci/run; fi

.PHONY: test-rust
test-rust: setup-test ## Run the Rust tests
	@mkdir -p $(RESULTS) target/site
	$(tools) cargo test --locked $(server_side) 2>&1 | tee $(RESULTS)/rust.log

.PHONY: bench
bench: setup-build ## Measure ingest and streaming beside what the disk and the compressor can do
	$(tools) cargo bench --locked --package auditstream-engine --bench data_plane

# About half an hour. AUDITSTREAM_SEED repeats one.
SOAK_SEED := $(or $(AUDITSTREAM_SEED),$(shell date +%s))
soak_numbers := AUDITSTREAM_SEED=$(SOAK_SEED) AUDITSTREAM_MODEL_PROGRAMS=4000 AUDITSTREAM_KILLS=200 AUDITSTREAM_CASES_TIMES=10

.PHONY: soak
soak: setup-test ## Crashes, kills, random programs and arbitrary bytes in large numbers
	@mkdir -p $(RESULTS)
	@echo "seed $(SOAK_SEED)"
	$(tools) $(soak_numbers) cargo test --locked --package auditstream-engine --test it -- --nocapture \
		crash:: kills:: model:: properties:: 2>&1 | tee $(RESULTS)/soak.log
	$(tools) fuzz/run 120 2>&1 | tee $(RESULTS)/fuzz.log
	@grep -E '^[0-9]+ (kills|programs)|^Done|^test result' $(RESULTS)/soak.log $(RESULTS)/fuzz.log

.PHONY: test-browser
test-browser: setup-test build ## Run the browser tests against the built binary
	@mkdir -p $(RESULTS)
	$(tools) cd end2end && npx playwright test 2>&1 | tee ../$(RESULTS)/browser.log

.PHONY: test-api
test-api: setup-test build ## Check the API of the built binary against /openapi.json
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
