package main

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// divide replaces the tests of a suite by their subtests, down to so many levels. A conformance suite is one test that reaches
// nearly every mutant and takes minutes; of its parts, each takes a moment, and few reach any one mutant.
func (b *bench) divide(ctx context.Context, s *suite, o options) error {
	var g group
	var broken failures
	parts := make([][]test, len(s.tests))
	for i, t := range s.tests {
		g.run(o.jobs, func() {
			out, _, err := b.start(ctx, s, []string{t.name}, surveyLimit, "MUTANT=0", "-test.v")
			if errors.Is(err, errNotStarted) {
				broken.add(err)
			}
			for _, name := range subtests(out, o.subtests) {
				parts[i] = append(parts[i], test{name: name})
			}
			if len(parts[i]) == 0 {
				parts[i] = []test{t}
			}
		})
	}
	g.wait()
	s.tests = slices.Concat(parts...)
	return broken.err()
}

var started = regexp.MustCompile(`(?m)^\s*=== RUN\s+(\S+)$`)

// subtests are the tests of a verbose output without their own subtests, cut below a level; a test itself stands on level 0.
func subtests(out []byte, level int) (names []string) {
	parents, seen := map[string]bool{}, map[string]bool{}
	for _, found := range started.FindAllSubmatch(bytes.TrimSpace(out), -1) {
		parts := strings.Split(string(found[1]), "/")
		name := strings.Join(parts[:min(len(parts), level+1)], "/")
		for i := 1; i < min(len(parts), level+1); i++ {
			parents[strings.Join(parts[:i], "/")] = true
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return parents[name] })
}

// pattern selects tests by their full names.
func pattern(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		levels := strings.Split(name, "/")
		for k, level := range levels {
			levels[k] = "^" + regexp.QuoteMeta(level) + "$"
		}
		quoted[i] = strings.Join(levels, "/")
	}
	return strings.Join(quoted, "|")
}
