package main

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
)

// core are the packages that decide: functions of values and an instant, which may be called again at any time with
// the same answer.
var core = []string{"schedule", "lifecycle", "lifecycle/forecast", "lifecycle/forecast/lint", "lifecycle/forecast/shadow"}

// timeless are files that must not read a clock although their package may, beside those of the core and its helpers.
var timeless = []string{"acquirer/queue/*.go", "invalid/*.go", "internal/micros/*.go", "internal/backoff/*.go", "prewarm/plan*.go", "workerpool/plan*.go"}

// clocks are the functions of package time that read the clock or wait for it.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

func checkClocks(sources []source) []string {
	var failures []string
	for _, s := range sources {
		if readsNoClock(s) {
			failures = append(failures, clocksIn(s)...)
		}
	}
	return failures
}

func readsNoClock(s source) bool {
	return slices.Contains(core, s.Package) || slices.ContainsFunc(timeless, func(glob string) bool {
		ok, _ := path.Match(glob, s.Name)
		return ok
	})
}

// clocksIn finds uses of package time, by whatever name it is imported.
func clocksIn(s source) []string {
	name, ok := importedAs(s.File, "time")
	if !ok {
		return nil
	}
	if name == "." {
		return []string{s.Name + ": imports time with a dot, which hides whether it reads the clock"}
	}
	var failures []string
	ast.Inspect(s.File, func(n ast.Node) bool {
		use, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := use.X.(*ast.Ident); ok && x.Name == name && slices.Contains(clocks, use.Sel.Name) {
			failures = append(failures, fmt.Sprintf("%s: uses time.%s, but the core takes the time as an argument", s.at(use), use.Sel.Name))
		}
		return true
	})
	return failures
}

func importedAs(f *ast.File, want string) (name string, ok bool) {
	for _, i := range f.Imports {
		if got, _ := strconv.Unquote(i.Path.Value); got != want {
			continue
		}
		if i.Name != nil {
			return i.Name.Name, true
		}
		return path.Base(want), true
	}
	return "", false
}
