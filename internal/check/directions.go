package main

import (
	"fmt"
	"strings"
)

// direction says which packages of this repository a package may import. Both are paths in the repository; "x/..." is
// x and all below it, "..." everything, "" the root package.
type direction struct {
	of  string
	may []string
}

// directions are all of them: of a package, the first entry that matches counts, and a package without one is an
// error. Arrows run down only: engines know neither stores nor each other, helpers know no engine, and what joins two
// engines lives below the one whose interface it implements.
var directions = []direction{
	// Programs, and what nobody imports.
	{"internal/check", nil},
	{"internal/mutants/...", nil},
	{"internal/bench/...", anything},
	{"internal/e2e/...", anything},
	{"examples/...", anything},
	{"dormousetest/...", anything},

	// Below everything.
	{"invalid", nil},
	{"simclock", []string{"invalid"}},
	{"internal/dispatch", []string{"acquirer/queue", "internal/...", "invalid"}},
	{"internal/liveness", []string{"internal/..."}},
	{"internal/tagindex", []string{"acquirer/queue", "internal/...", "invalid"}},
	{"internal/leases", []string{"acquirer/queue", "internal/...", "invalid"}},
	{"internal/liveness", []string{"internal/..."}},
	{"internal/tagindex", []string{"acquirer/queue", "internal/...", "invalid"}},
	{"internal/...", []string{"internal/...", "invalid"}},

	// The pure core.
	{"schedule", []string{"invalid"}},
	{"lifecycle", []string{"schedule", "invalid", "internal/micros", "internal/backoff", "internal/text", "internal/unread"}},
	{"lifecycle/internal/snapshots", []string{"lifecycle", "schedule"}},
	{"lifecycle/forecast/...", []string{"lifecycle", "lifecycle/forecast/...", "schedule", "invalid", "internal/text"}},

	// The engines.
	{"lifecycle/executor", []string{"lifecycle", "schedule", "invalid", "internal/..."}},
	{"lifecycle/templatebuilder", []string{"lifecycle", "lifecycle/executor", "rendercache", "invalid"}},
	{"acquirer/queue", []string{"invalid", "internal/micros", "internal/text"}},
	{"acquirer/worker", []string{"acquirer/queue", "invalid", "internal/..."}},
	{"acquirer/buildjobs", []string{"lifecycle", "acquirer/queue", "acquirer/worker", "invalid"}},
	{"acquirer", []string{"acquirer/queue", "acquirer/worker", "invalid", "internal/..."}},
	{"rendercache/internal/...", []string{"rendercache/internal/...", "invalid", "internal/..."}},
	{"rendercache", []string{"rendercache/internal/...", "invalid", "internal/..."}},
	{"rendercache/replay", []string{"rendercache", "rendercache/internal/...", "invalid", "internal/text"}},
	{"prewarm", []string{"schedule", "lifecycle", "invalid", "internal/..."}},
	{"prewarm/workspaces", []string{"prewarm", "lifecycle", "invalid", "internal/...", "store/refusal"}},
	{"prewarm/localprocess", []string{"prewarm", "invalid"}},
	{"prewarm/prewarmtest", []string{"prewarm"}},
	{"workerpool", []string{"schedule", "invalid", "internal/..."}},
	{"workerpool/runner/...", []string{"workerpool/runner"}},
	{"workerpool/jobqueue", []string{"workerpool", "acquirer", "acquirer/queue", "invalid"}},
	{"workerpool/localprocess", []string{"workerpool", "workerpool/runner", "invalid"}},
	{"workerpool/poolhttp", []string{"workerpool", "invalid"}},
	{"workerpool/sshexec", []string{"workerpool", "invalid"}},
	{"workerpool/workerpooltest", []string{"workerpool"}},

	// The stores.
	{"store", []string{
		"lifecycle", "acquirer/queue", "acquirer/buildjobs", "prewarm/...", "workerpool", "schedule", "invalid", "internal/...",
	}},
	{"store/migrate", []string{"lifecycle", "invalid", "internal/..."}},
	{"store/form", []string{"internal/micros", "internal/text"}},
	{"store/sqltext", []string{"lifecycle"}},
	{"store/refusal", nil},
	{"store/wake", []string{"lifecycle", "acquirer/queue", "prewarm", "workerpool"}},
	{"store/memory", belowStores},
	{"store/storetest", append([]string{"lifecycle/executor"}, belowStores...)},
	{"store/sqlite/...", belowStores},
	{"store/postgres/...", belowStores},
	{"acquirer/acquirertest", []string{"acquirer", "acquirer/queue", "acquirer/worker", "store/memory"}},

	// The pages.
	{"webui", []string{"lifecycle", "lifecycle/forecast", "lifecycle/forecast/lint", "schedule", "invalid", "internal/..."}},
	{"webui/webuitest", []string{"webui", "acquirer/queue", "lifecycle", "lifecycle/forecast", "schedule", "internal/text"}},
	{"webui/planesource", []string{"", "webui", "store", "lifecycle", "lifecycle/forecast", "acquirer/queue", "invalid"}},

	// The front door.
	{"", []string{
		"lifecycle/...", "acquirer/...", "rendercache", "prewarm/...", "workerpool/...", "schedule", "store", "store/migrate", "invalid",
		"internal/...",
	}},
}

var anything = []string{"..."}

var belowStores = []string{
	"store/...", "lifecycle", "acquirer/queue", "acquirer/buildjobs", "prewarm/...", "workerpool", "schedule", "invalid",
	"internal/...",
}

func checkDirections(g graph, table []direction) []string {
	var failures []string
	for _, rel := range g.own() {
		may, ok := allowed(rel, table)
		if !ok {
			failures = append(failures, display(absolute(rel))+": say in internal/check/directions.go what it may import")
			continue
		}
		for _, path := range g.imports(absolute(rel)) {
			other, own := relative(path)
			if own && (!matchesAny(other, may) || reachesIn(rel, other)) {
				failures = append(failures, fmt.Sprintf("%s must not import %s (internal/check/directions.go)",
					display(absolute(rel)), display(path)))
			}
		}
	}
	return failures
}

// reachesIn reports whether a nested module imports what is internal to the root module. The compiler lets it, but it
// breaks when the two are released with different versions.
func reachesIn(rel, other string) bool {
	return !inRootModule(rel) && inRootModule(other) && strings.Contains("/"+other+"/", "/internal/")
}

func allowed(rel string, table []direction) ([]string, bool) {
	for _, d := range table {
		if matches(rel, d.of) {
			return d.may, true
		}
	}
	return nil, false
}
