package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// budgets bound the exported names at the top level of a package, so that who opens one finds only what is for them.
// A package that is not here has defaultBudget. Raise a number when the package has earned it, not to be done.
var budgets = map[string]int{
	"":                          60,
	"acquirer":                  25,
	"acquirer/acquirertest":     30,
	"acquirer/buildjobs":        24,
	"acquirer/queue":            140,
	"acquirer/worker":           15,
	"invalid":                   9,
	"lifecycle":                 246,
	"lifecycle/executor":        25,
	"lifecycle/forecast":        60,
	"lifecycle/templatebuilder": 10,
	"prewarm":                   160,
	"rendercache":               60,
	"schedule":                  45,
	"store":                     10,
	"store/memory":              10,
	"store/postgres":            15,
	"store/postgres/pgtest":     15,
	"store/sqlite":              10,
	"store/storetest":           12,
	"workerpool":                170,
}

const defaultBudget = 40

func checkBudgets(names map[string][]string) []string {
	var failures []string
	for _, rel := range slices.Sorted(maps.Keys(names)) {
		budget, ok := budgets[rel]
		if !ok {
			budget = defaultBudget
		}
		if n := topLevel(names[rel]); n > budget {
			failures = append(failures, fmt.Sprintf("%s exports %d names at its top level, more than its budget of %d (internal/check/budgets.go)",
				display(absolute(rel)), n, budget))
		}
	}
	return failures
}

// topLevel counts constants, variables, functions and types.
func topLevel(names []string) int {
	n := 0
	for _, name := range names {
		kind, _, _ := strings.Cut(name, " ")
		if slices.Contains([]string{"const", "var", "func", "type"}, kind) {
			n++
		}
	}
	return n
}
