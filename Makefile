# What people and machines do with this repository. "make help" lists it.
# A bare Debian machine with Go, git and make is enough: what else a target
# needs, it installs through apt or names.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
FUZZTIME ?= 5s
SOAK     ?= 10m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The version is set below. Asking git once more would fail builds in a
# checkout that belongs to somebody else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# Packages with tests that count allocations: the race detector allocates by
# itself, so these tests need a run without it. They count by AllocsPerRun or
# have a constant in a file for builds without the detector.
COUNTED = $(shell grep -rlE --include='*_test.go' 'AllocsPerRun|^//go:build !race' . | xargs -r -n1 dirname | sort -u)

# Two test runs at once would only take each other's processor.
.NOTPARALLEL:

.PHONY: help build test lint race allocs fuzz h2spec soak demo bench flips overload shadows rollouts simulate clean need-go need-cc need-clients

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: need-go ## bin/sluice, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/sluice ./cmd/sluice

test: SOAK = 1m
test: lint race allocs fuzz h2spec soak ## everything that must pass before a commit; minutes

lint: need-go ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

race: need-go need-cc need-clients ## all tests, with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 5m ./...

allocs: need-go ## the packages that count allocations, without the race detector
	$(GO) test -timeout 5m $(COUNTED)

fuzz: need-go ## each fuzz target for FUZZTIME (5s)
	@GO='$(GO)' scripts/fuzz '$(FUZZTIME)'

h2spec: build ## the conformance tests of HTTP/2, in the clear and over TLS
	$(GO) build -C scripts/h2spec/tool -o ../../../bin/h2spec github.com/summerwind/h2spec/cmd/h2spec
	$(GO) run ./scripts/h2spec bin/sluice bin/h2spec

soak: build ## all protocols under flips, deaths, reloads and upgrades for SOAK (10m)
	$(GO) run ./e2e/soak -sluice bin/sluice -for $(SOAK)

demo: build ## two services, three versions each, flipped under load; DEMO='--keep' goes on
	bin/sluice demo $(DEMO)

bench: build ## Sluice beside haproxy, nginx and caddy; BENCH='-quick' takes 4 minutes, BENCH='-only tls,h2' 3
	$(GO) run ./bench -sluice ./bin/sluice $(BENCH)

flips: build ## 1,000 flips in 60 s under load, every request accounted for
	$(GO) run ./bench/flips $(FLIPS) ./bin/sluice

rollouts: build ## 60 rollouts over real sockets, half of them to versions twice as bad; kill -9 at each stage of some
	$(GO) run ./bench/rollouts $(ROLLOUTS) ./bin/sluice

overload: build ## 5 times the load that the endpoints can serve; 10,000 idle and 1,000 dripping connections
	$(GO) run ./bench/overload $(OVERLOAD) ./bin/sluice

shadows: build ## what copies of requests cost customers, in pairs with and without; writes bench/SHADOWS.md
	$(GO) run ./bench/shadows -out bench/SHADOWS.md $(SHADOWS) ./bin/sluice

simulate: need-go ## how well the judge decides, on thousands of simulated rollouts; writes bench/JUDGE.md
	$(GO) run ./rollout/judge/simulate $(SIMULATE)

clean: ## remove what was built
	rm -rf bin

need-go:
	@GO='$(GO)' scripts/need go

need-cc:
	@scripts/need cc

need-clients:
	@scripts/need clients
