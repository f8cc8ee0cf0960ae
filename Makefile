# Everything here is one command that also works without make.

.PHONY: test bench check release-check lint fuzz mutants clean

test: ## all tests of all modules, with the race detector
	scripts/test

# make bench ONLY=tick/ SIZE=full JSON=1
bench: ## the ratios against peers and limits
	go run ./internal/bench -only '$(ONLY)' -size $(or $(SIZE),small) $(if $(JSON),-json)

check: ## imports, exported names, clocks, formatting: some seconds
	scripts/check

release-check: ## the modules as others will get them
	scripts/release-check

lint: ## checks beyond go vet; the first run builds the linter
	scripts/check
	scripts/lint

fuzz: ## every fuzz target for FUZZTIME, a minute each by default
	scripts/fuzz $(or $(FUZZTIME),1m)

# make mutants ONLY="lifecycle lifecycle/executor" TESTS=store/memory SAMPLE=200 SEED=1 MATCH=relay JSON=out.json
mutants: ## what no test would notice if it were wrong: see docs/mutation.md
	go run ./internal/mutants -only '$(ONLY)' -tests '$(TESTS)' -sample $(or $(SAMPLE),0) -seed $(or $(SEED),1) \
		-match '$(MATCH)' -run '$(RUN)' -skip '$(SKIP)' -subtests $(or $(SUBTESTS),0) \
		$(if $(JSON),-json $(JSON)) $(if $(KNOWN),-known $(KNOWN)) $(if $(TRUST),-trust) $(if $(AT_LEAST),-at-least $(AT_LEAST))

clean:
	rm -rf bin examples/quickstart/report.html
