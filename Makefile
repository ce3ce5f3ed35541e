# vhub: make serve, make test; make help lists the rest.
SHELL := /bin/bash
GO    ?= go
LDFLAGS = -X main.version=$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help build serve test test-deps lint demo bench bench-peers docs clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/vhub
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vhub ./cmd/vhub

serve: build ## build, and start on embedded defaults (root, or CAP_NET_ADMIN)
	./bin/vhub serve

test-deps: ## install what the tests need (Debian, root; otherwise the tests that miss it are skipped)
	lab/install.sh

# The race detector hides allocations and is too slow for the long replay and for
# many sessions, so those run without it too. Packages that meet the real kernel run alone.
WORLD = vhub/(bridge|etherip|ipsec|ipsec/ike|cmd/vhub|cmd/vhub/daemon|internal/netlab|radius|dhcp)$$
test: test-deps lint ## install what is missing, then run every test
	$(GO) test -p 1 -timeout 10m ./eth ./hub ./l2tp
	$(GO) test -p 1 -timeout 10m -run Alloc ./etherip ./bridge ./ipsec ./ipsec/esp
	$(GO) test -race -p 2 -timeout 15m $$($(GO) list ./... | grep -v '^vhub/lab' | grep -Ev '^$(WORLD)')
	$(GO) test -race -p 1 -timeout 15m $$($(GO) list ./... | grep -E '^$(WORLD)')
	$(GO) test -p 1 -parallel 8 -timeout 40m ./lab/...

lint: ## gofmt, vet, staticcheck, the rules of the house
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted (run gofmt -w): $$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal/house

demo: build ## the README's three sites in network namespaces, until Ctrl-C (root)
	$(GO) build -o bin/demo ./lab/demo
	VHUB_BIN=$(CURDIR)/bin/vhub bin/demo

bench: build ## ns a frame, allocations, TAP to TAP beside the kernel bridge (root)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 0.5s ./eth ./hub ./etherip ./bridge
	VHUB_BIN=$(CURDIR)/bin/vhub $(GO) run ./lab/bench -secs 1

CASES ?=
RUNS  ?= 5
bench-peers: build ## vhub beside its rivals, CASES="bridge vhub" RUNS=5; all of them write docs/benchmarks.md (root)
	VHUB_BIN=$(CURDIR)/bin/vhub $(GO) run ./lab/bench -peers -cases "$(CASES)" -runs $(RUNS)

docs: build ## write docs/man and docs/json.md from the program itself
	./bin/vhub docs docs/man
	$(GO) test ./api -run TestJSONDoc -update

clean: ## remove what was built
	rm -rf bin
