# The recipes. CI (.ci/run) runs exactly these.
#
# `make test` on a new machine installs what it needs first: Debian's packages (as root) for the servers that the tests
# put behind truehit, and pinned Python and Node packages under .venv and tests/origins/node/node_modules.

CARGO ?= cargo
PYTHON ?= python3
# Arguments for the demo, as in `make demo ARGS=--once`, and for the bench: rows and options.
ARGS ?=
# Set, `make conformance` writes its results again, and `make instructions` its record.
UPDATE ?=
# What `make fuzz` runs, under which sanitizer, and for how many seconds; seconds per target for `make fuzz-smoke`.
TARGET ?= decide
SANITIZER ?= none
SECONDS ?= 60
SMOKE_SECONDS ?= 3
# What `make mutants` is about, as in `make mutants ARGS='--file src/rules/freshness.rs'`: all of src/rules otherwise.

VENV := .venv
NODE := tests/origins/node
CACHE_TESTS := tests/cache-tests
CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
CARGO_MUTANTS := 27.1.0
.PHONY: help setup packages demo test conformance fmt fmt-check lint doc deny deploy-check static figures generate model
.PHONY: fuzz fuzz-smoke mutants bench-packages bench bench-quick faults soak instructions micro
.DEFAULT_GOAL := help

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: packages $(VENV)/.complete $(NODE)/node_modules/.complete $(CACHE_TESTS)/node_modules/.complete ## Install what the tests need and is missing

packages:
	@.ci/packages

$(VENV)/.complete: tests/origins/python/requirements.txt deploy/requirements.txt | packages
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

%/node_modules/.complete: %/package.json %/package-lock.json | packages
	cd $* && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

demo: ## An API, truehit in front of it, and a walk through what that changes (ARGS=--once to end by itself)
	$(CARGO) build --locked --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/debug/truehit-demo $(ARGS)

test: setup ## All tests, real origins included
	$(CARGO) test --locked --workspace
	$(CARGO) test --locked --features seeded-faults --test seeded

conformance: $(CACHE_TESTS)/node_modules/.complete ## The public suite of cache tests (UPDATE=1 to write its results again)
	$(CARGO) build --locked
	node $(CACHE_TESTS)/run.mjs $${CARGO_TARGET_DIR:-target}/debug/truehit $(if $(UPDATE),--update)

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint: ## Clippy, warnings denied
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings

# Links to private items are fine: the items are there.
doc: ## The code's documentation, private items included, warnings denied
	RUSTDOCFLAGS='-Dwarnings -Arustdoc::private_intra_doc_links' $(CARGO) doc --locked --workspace --all-features --no-deps --document-private-items

deny: target/tools/cargo-deny-$(CARGO_DENY) ## Licences, duplicate crates and sources of the dependencies
	target/tools/bin/cargo-deny --workspace --all-features check bans licenses sources

# A stable Rust compiler will do for a sanitizer: it has to be told that it may.
SANITIZED = $(filter-out none,$(SANITIZER))
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

# With a sanitizer all dependencies are built once more; build scripts are not, which is why the target is named.
fuzz-smoke: ## Every fuzz target for a few seconds, without libFuzzer (SANITIZER=address)
	$(if $(SANITIZED),RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=$(SANITIZED)) FUZZ_SECONDS=$(SMOKE_SECONDS) \
		$(CARGO) test --locked $(if $(SANITIZED),--target $(HOST) --target-dir target/sanitized) \
		--test fuzz -- --nocapture no_input

# Needs a C++ compiler for libFuzzer.
# Finds of the fuzzer stay in target/; what is worth keeping is put into fuzz/corpus by hand.
fuzz: target/tools/cargo-fuzz-$(CARGO_FUZZ) ## One fuzz target under libFuzzer (TARGET=decide SECONDS=60 SANITIZER=address)
	mkdir -p target/fuzz/corpus/$(TARGET)
	$(if $(SANITIZED),RUSTC_BOOTSTRAP=1) \
		target/tools/bin/cargo-fuzz run --sanitizer $(SANITIZER) --target-dir target/fuzz $(TARGET) \
		target/fuzz/corpus/$(TARGET) fuzz/corpus/$(TARGET) -- -max_total_time=$(SECONDS)

mutants: target/tools/cargo-mutants-$(CARGO_MUTANTS) ## Which changes to the rules no test would notice: hours (ARGS='--file src/rules/vary.rs')
	target/tools/bin/cargo-mutants mutants --output target $(or $(ARGS),--file 'src/rules/**/*.rs')

# Unoptimised: it takes a third of the time to build, and these are not what takes long.
target/tools/cargo-deny-$(CARGO_DENY) target/tools/cargo-fuzz-$(CARGO_FUZZ) target/tools/cargo-mutants-$(CARGO_MUTANTS): target/tools/cargo-%:
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install $(shell echo cargo-$* | sed 's/-\([0-9.]*\)$$/ --version \1/') --locked --debug --quiet \
		--root target/tools --target-dir target/tools/build
	rm -rf target/tools/build
	touch $@

deploy-check: $(VENV)/.complete ## Lint the Dockerfile, validate the Kubernetes manifests
	$(VENV)/bin/hadolint deploy/Dockerfile
	$(VENV)/bin/yamllint --strict -d '{extends: default, rules: {line-length: {max: 120}}}' deploy/kubernetes
	for version in 1.30 1.37; do \
		$(VENV)/bin/kubernetes-validate --strict -k $$version deploy/kubernetes/*.yaml || exit 1; \
	done

static: ## The static binary that deploy/Dockerfile builds, checked to need no library
	deploy/build-static target/static
	deploy/check-static target/static/truehit

figures: ## Measure what the promise costs and keeps, optimised
	$(CARGO) bench --locked --bench promise

bench-packages:
	@.ci/packages bench

bench: bench-packages ## Measure beside nginx, HAProxy and Varnish: half an hour (ARGS='H-1k V-hot-5')
	$(CARGO) bench --locked --bench peers -- $(ARGS)

bench-quick: bench-packages ## The same in under three minutes, with fewer rows and rounds
	$(CARGO) bench --locked --bench peers -- --quick $(ARGS)

faults: ## The fault matrix, in real processes: an hour and a half (ARGS=--quick for three minutes of it, ARGS='G05 G10' for rows)
	$(CARGO) bench --locked --bench reliability -- $(ARGS)

soak: ## Half an hour of mixed load, and what grows meanwhile (SOAK_MINUTES=5 for less)
	$(CARGO) bench --locked --bench reliability -- soak

instructions: packages ## Instructions per request, held against the record (UPDATE=1 to write it again)
	$(CARGO) bench --locked --bench instructions $(if $(UPDATE),-- --update)

micro: ## What the pieces of a request cost, in ns and allocations (ARGS=flight for those with the word in their name)
	$(CARGO) bench --locked --bench micro -- $(ARGS)

generate: ## Write again what is generated from the code (documents, snapshots of defaults)
	UPDATE_DOCS=1 INSTA_UPDATE=always $(CARGO) test --locked --quiet --test config --test metrics --test cli
	UPDATE_DOCS=1 $(CARGO) test --locked --quiet --test conformance the_committed_table
	UPDATE_DOCS=1 $(CARGO) test --locked --quiet --test catalogue the_committed_table

model: ## Check the model of the coalescer
	$(CARGO) test --locked --test model -- --nocapture
