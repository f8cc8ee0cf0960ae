package main

import (
	"fmt"
	"slices"
	"strings"
)

// link says what must not be in a program that imports a package, however indirectly.
type link struct {
	// of are paths in the repository; one that does not exist is no error here, its successor is one in directions.
	of []string
	// not are import paths. "x/..." is x and all below it.
	not []string
	// through are import paths whose own imports do not count.
	through []string
	why     string
}

var links = []link{
	{
		of: core,
		not: []string{
			"net/http", "log/slog", "github.com/prometheus/...", "github.com/coder/quartz",
			module + "/lifecycle/executor", module + "/store/...",
		},
		why: "the core is pure",
	},
	{
		of:  core,
		not: []string{"net", "os/exec", "database/sql"},
		// Looks up network interfaces for one version of UUIDs, which nothing here makes.
		through: []string{"github.com/google/uuid"},
		why:     "the core is pure",
	},
	{
		of: []string{"acquirer/queue", "acquirer/worker", "acquirer/buildjobs"},
		not: []string{
			"github.com/prometheus/...", module + "/acquirer", module + "/lifecycle/executor", module + "/store/...",
		},
		why: "a remote worker links neither an engine nor a store",
	},
	{
		of:  []string{"acquirer/queue", "acquirer/worker"},
		not: []string{module + "/lifecycle/...", module + "/schedule"},
		why: "the hand-off knows no workspaces",
	},
	{
		of: anything, // in the root module
		not: []string{
			"github.com/stretchr/...", "go.uber.org/goleak", "pgregory.net/...",
			"github.com/jackc/...", "github.com/mattn/...", "modernc.org/...",
		},
		why: "neither test libraries nor drivers reach those who do not ask for them",
	},
}

func checkLinks(g graph, table []link) []string {
	var failures []string
	for _, l := range table {
		for _, rel := range g.own() {
			if !inRootModule(rel) || !matchesAny(rel, l.of) {
				continue
			}
			for _, pattern := range l.not {
				way := g.chain(absolute(rel), func(path string) bool { return matches(path, pattern) }, l.through)
				if way != nil {
					failures = append(failures, fmt.Sprintf("%s: %s", l.why, strings.Join(way, " -> ")))
				}
			}
		}
	}
	return failures
}

// checkTestingIsNotLinked holds that package testing, whose flags would appear in a host's program, is linked only by
// packages that are for tests.
func checkTestingIsNotLinked(g graph) []string {
	var failures []string
	for _, rel := range g.own() {
		if forTests(rel) || matchesAny(rel, []string{"internal/bench/...", "internal/e2e/..."}) {
			continue
		}
		if way := g.chain(absolute(rel), func(path string) bool { return path == "testing" }, nil); way != nil {
			failures = append(failures, "test helpers do not reach production binaries: "+strings.Join(way, " -> "))
		}
	}
	return failures
}

// forTests says that a path has an element that ends in "test": storetest, acquirertest, dormousetest.
func forTests(rel string) bool {
	return slices.ContainsFunc(strings.Split(rel, "/"), func(element string) bool { return strings.HasSuffix(element, "test") })
}

// nested are the folders with a go.mod of their own.
var nested = []string{"examples/...", "internal/bench/...", "internal/e2e/...", "store/sqlite/...", "store/postgres/...", "kubernetes/..."}

func inRootModule(rel string) bool { return !matchesAny(rel, nested) }
