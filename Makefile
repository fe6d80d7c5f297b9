# The commands of this project. `make help` lists them.
CARGO ?= cargo
# Not `--benches`: that builds every library once more, for benchmarks that none of them has.
BENCHES = --bench federation --bench rendering --bench apiserver --bench placement
.DEFAULT_GOAL := help
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# What is measured; `make bench BINARY=...` measures another.
BINARY = $(CURDIR)/target/release/flotilla
MEASURE = KUBECTL="$$(e2e/tools/find kubectl)" FLOTILLA="$(abspath $(BINARY))" $(CARGO) bench --workspace --bench federation --
.PHONY: help demo test lint fmt release bench bench-apiserver bench-placement bench-rendering doc

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build and run a federation of three simulated members; Ctrl-C ends it
	$(CARGO) build --quiet --bin flotilla
	target/debug/flotilla demo

test: ## run every test; installs the clients it drives (kubectl, Helm, the Python client) into target/tools
	$(CARGO) build --workspace --all-targets
	KUBECTL="$$(e2e/tools/find kubectl)" FLOTILLA="$(CURDIR)/target/debug/flotilla" $(CARGO) test --workspace

lint: ## formatting, clippy and documentation, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

fmt: ## format the source
	$(CARGO) fmt --all

# Other loads than `make bench` measures, so that its figures are not those of a binary made for them.
release: TRAINING = 1000 20x30
release: BINARY = $(CURDIR)/target/$(HOST)/release/flotilla
release: ## build the binary to ship, optimised by what it does under load: up to a sixth less CPU (needs cargo-pgo and rustup's llvm-tools; takes half an hour)
	$(CARGO) pgo build -- --bin flotilla
	$(MEASURE) $(TRAINING)
	$(CARGO) pgo optimize build -- --bin flotilla
	@echo "$(BINARY)"

bench: ## measure: start, memory, propagation of 300, 3,000 and 50 Deployments a second (release build); RUNS="300 50x60" chooses
	$(CARGO) build --release --workspace --bins $(BENCHES)
	$(MEASURE) $(RUNS)

bench-rendering: ## measure bindings that become Works, over bindings and clusters, and memory of each (release build); ROWS="100,100,3" chooses
	$(CARGO) build --release --workspace --bins $(BENCHES)
	FLOTILLA="$(abspath $(BINARY))" $(CARGO) bench --workspace --bench rendering -- $(ROWS)

bench-apiserver: ## measure requests of the hub, beside a kube-apiserver when KUBEBUILDER_ASSETS names one (release build)
	$(CARGO) build --release --workspace --bins $(BENCHES)
	KUBECTL="$$(e2e/tools/find kubectl)" FLOTILLA="$(abspath $(BINARY))" $(CARGO) bench --package e2e --bench apiserver

bench-placement: ## measure placements per second, for 10 to 5,000 clusters and every strategy (release build)
	$(CARGO) bench --package scheduler --bench placement
