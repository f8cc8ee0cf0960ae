# Everything here is one command that also works without make.

.PHONY: test bench lint fuzz cover clean

test: ## all tests of all modules, with the race detector
	scripts/test

# make bench ONLY=tick/ SIZE=full JSON=1
bench: ## the ratios against peers and limits
	go run ./internal/bench -only '$(ONLY)' -size $(or $(SIZE),small) $(if $(JSON),-json)

LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

lint: ## checks beyond go vet; the first run builds the linter
	scripts/check
	for m in $$(go list -m -f '{{.Dir}}'); do (cd $$m && go run $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

fuzz: ## every fuzz target for FUZZTIME, a minute each by default
	scripts/fuzz $(or $(FUZZTIME),1m)

clean:
	rm -rf bin report.html examples/quickstart/report.html
