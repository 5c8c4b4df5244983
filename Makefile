# Parley's chores. `make` alone lists them. Each target installs what it misses
# (when it may) and says what it installed; nothing is fetched twice.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

GOLANGCI_LINT_VERSION := v2.15.0
PROTOC_VERSION := 3.21.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2

BIN := .cache/bin
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)

# Outside a git work tree, or in one of another owner, the commit is left out
# of the binary; the build must not fail for it.
BUILDVCS := $(shell git rev-parse --verify -q HEAD >/dev/null 2>&1 && echo auto || echo false)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=$(BUILDVCS) -ldflags '-s -w -X main.version=$(VERSION)'

SHARED := web/shared
DESKTOP := gateway/desktop
WIDGET := plugins/webchat/widget
ECHO_NODE := plugins/sdk/examples/echo-node
# A folder's own time changes when a file in it goes, so folders count too.
sources = $(shell find $(1)/src $(1)/public $(1)/scripts 2>/dev/null) \
	$(wildcard $(1)/*.html $(1)/*.ts $(1)/tsconfig*.json) $(1)/package.json
# One installation for all front ends and browser tests: the npm workspace of
# this folder. Its stamp is what npm writes into it.
NODE_MODULES := node_modules/.package-lock.json

# The race detector makes a test binary several times as large and slow; two at
# a time is what a machine with two cores bears.
TEST_FLAGS ?= -race -p 2 -timeout 15m
ARGS ?=

.PHONY: help run build web test test-go test-web e2e bench lint lint-go lint-web vet generated soak clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | while IFS=$$'\t' read -r t d; do printf '  make %-10s %s\n' "$$t" "$$d"; done

run: build ## build everything and start a demo: make run ARGS="--data DIR"
	bin/parley demo $(ARGS)

build: web ## build bin/parley with both front ends inside
	@scripts/need go
	$(GO_BUILD) -o bin/parley ./cmd/parley

# --- front ends: their builds are embedded in the binary and not committed ---

web: $(DESKTOP)/dist/index.html $(WIDGET)/dist/widget.js ## build the front ends that have changed

$(DESKTOP)/dist/index.html: $(call sources,$(DESKTOP)) $(call sources,$(SHARED)) $(NODE_MODULES)
	@echo "building $(DESKTOP)"
	npm --workspace $(DESKTOP) run --silent build
	@touch $@

$(WIDGET)/dist/widget.js: $(call sources,$(WIDGET)) $(call sources,$(SHARED)) $(NODE_MODULES)
	@echo "building $(WIDGET)"
	npm --workspace $(WIDGET) run --silent build
	@touch $@

$(NODE_MODULES): package-lock.json
	@scripts/need node npm
	@echo "installing the workspace's modules from its lock file"
	npm ci --no-audit --no-fund
	@touch $@

# The example in JavaScript is no part of the workspace: integrators copy its
# folder, and it must install from what lies there.
%/node_modules/.package-lock.json: %/package-lock.json
	@scripts/need node npm
	@echo "installing the modules of $* from its lock file"
	npm --prefix $* ci --no-audit --no-fund
	@touch $@

# --- tests ---

test: test-web test-go e2e ## run every test: Go with the race detector, both front ends, browsers
	@scripts/summary

test-go: build $(ECHO_NODE)/node_modules/.package-lock.json
	@scripts/need go gcc strace postgres node
	@mkdir -p .cache
	E2E_BINARY=$(abspath bin/parley) go test $(TEST_FLAGS) ./... 2>&1 | tee .cache/test-go.log

test-web: web
	@scripts/need go chromium
	npm --workspace $(SHARED) test
	npm --workspace $(DESKTOP) test
	npm --workspace $(DESKTOP) run e2e:fake
	npm --workspace $(WIDGET) test
	npm --workspace $(WIDGET) run test:ui

e2e: build $(NODE_MODULES) ## play the stories in a real browser against bin/parley
	@scripts/need go chromium
	E2E_BINARY=$(abspath bin/parley) npm --workspace e2e test

soak: build $(ECHO_NODE)/node_modules/.package-lock.json ## run the long tests: kill loops, fault injection, whole-system kills
	@scripts/need go gcc strace postgres node
	@mkdir -p .cache
	E2E_BINARY=$(abspath bin/parley) PARLEY_SOAK=1 go test -count=1 -p 1 -timeout 3h -v ./... 2>&1 | tee .cache/soak.log | grep -E '^(=== RUN|\s*--- |ok|FAIL|panic:)' | grep -vE '^=== RUN +\S+/'

bench: build ## measure the parts, then the whole system
	go test -run '^$$' -bench . -benchmem ./core/... ./plugins/sdk/...
	bin/parley bench log
	bin/parley bench webchat
	bin/parley bench sms
	bin/parley bench replies
	bin/parley bench sockets
	bin/parley bench start

# --- checks ---

lint: lint-web lint-go vet generated ## check formatting, types, rules and generated code

lint-go: web $(GOLANGCI_LINT)
	@echo "gofmt"
	@bad=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r gofmt -l); \
	  if [ -n "$$bad" ]; then printf 'not formatted; run gofmt -w on:\n%s\n' "$$bad"; exit 1; fi
	$(GOLANGCI_LINT) run ./...

# The compiler's optimizer is switched off for the foreign machines: vet only
# needs types, and the embedded database alone costs it minutes.
vet: web
	go vet ./...
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go vet -gcflags='all=-N -l' ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet -gcflags='all=-N -l' ./...

lint-web: $(NODE_MODULES)
	npm --workspace $(SHARED) run --silent check
	npm --workspace $(DESKTOP) run --silent check
	npm --workspace $(WIDGET) run --silent check

generated: web ## check that generated code is up to date (the contract's needs protoc)
	go test -run 'TestTypeScript$$' ./gateway/stream ./plugins/webchat
	go test -run 'TestOpenAPI$$' ./gateway/api
	@PROTOC_VERSION=$(PROTOC_VERSION) PROTOC_GEN_GO_GRPC_VERSION=$(PROTOC_GEN_GO_GRPC_VERSION) scripts/generated

$(GOLANGCI_LINT):
	@scripts/need go
	@echo "installing golangci-lint $(GOLANGCI_LINT_VERSION) into $(BIN): about three minutes, once"
	GOBIN=$(abspath $(BIN)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(BIN)/golangci-lint $@

clean: ## remove what was built and installed below this folder
	rm -rf bin .cache node_modules $(ECHO_NODE)/node_modules
	find $(DESKTOP)/dist $(WIDGET)/dist -mindepth 1 ! -name .keep -delete
