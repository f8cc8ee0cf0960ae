// Command check holds what no compiler does: the direct requirements of the root module, the directions of imports, what
// packages link, that the core reads no clock, and the exported names of each package.
//
//	go run ./internal/check           report what does not hold, and exit with 1
//	go run ./internal/check -update   accept the exported names as they are now
//
// It runs at the root of the checkout, needs go on the PATH, and reads files only: it takes some seconds. The tables to
// change are at the top of requires.go, directions.go, links.go, clock.go, budgets.go and words.go.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	update := flag.Bool("update", false, "write the lists of exported names in "+apiDir)
	flag.Parse()
	failures, err := run(*update)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	for _, f := range failures {
		fmt.Fprintln(os.Stderr, "check:", f)
	}
	if len(failures) > 0 {
		os.Exit(1)
	}
}

// run returns what does not hold, a line or more for each.
func run(update bool) ([]string, error) {
	required, err := directRequirements()
	if err != nil {
		return nil, err
	}
	g, err := load()
	if err != nil {
		return nil, err
	}
	sources, err := g.parse()
	if err != nil {
		return nil, err
	}
	failures := checkRequirements(required)
	failures = append(failures, checkDirections(g, directions)...)
	failures = append(failures, checkLinks(g, links)...)
	failures = append(failures, checkTestingIsNotLinked(g)...)
	failures = append(failures, checkClocks(sources)...)
	failures = append(failures, checkWords(sources)...)
	promises, err := checkPromises(os.DirFS("."))
	if err != nil {
		return nil, err
	}
	failures = append(failures, promises...)
	names := exportedNames(sources)
	if update {
		if err := writeNames(names); err != nil {
			return nil, err
		}
	}
	changed, err := checkNames(names)
	if err != nil {
		return nil, err
	}
	failures = append(failures, changed...)
	return append(failures, checkBudgets(names)...), nil
}
