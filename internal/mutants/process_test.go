package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sampleBench is a bench over the small package whose tests are known, and some of its mutants.
func sampleBench(t *testing.T, match string) (*bench, report, options) {
	t.Helper()
	t.Chdir("../..")
	o := options{only: []string{"internal/mutants/testdata/sample"}, jobs: 2, slack: time.Second, match: match, jsonTo: filepath.Join(t.TempDir(), "all.json")}
	targets, err := load(t.Context(), o.only)
	must(t, err)
	all, err := mutateAll(targets)
	must(t, err)
	chosen, err := choose(all, o)
	must(t, err)
	b, err := prepare(t.Context(), t.TempDir(), targets, o)
	must(t, err)
	return b, report{all: len(all), tried: chosen}, o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Tests that cannot be started say nothing of a mutant: nothing is killed, what is known is kept, and the run fails.
func TestTestsThatDoNotStart(t *testing.T) {
	b, r, o := sampleBench(t, "Grade: 50|Grade: points < 0  =>")
	binary := b.suites[0].binary
	for what, breaks := range map[string]func() error{
		"no permission": func() error { return os.Chmod(binary, 0o600) },
		"no program":    func() error { return errors.Join(os.WriteFile(binary, []byte("?"), 0o700), os.Chmod(binary, 0o700)) },
		"no file":       func() error { return os.Remove(binary) },
	} {
		if err := os.Remove(binary); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		must(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o700))
		must(t, breaks())
		if err := conclude(t.Context(), b, r, o); !errors.Is(err, errNotStarted) || !strings.Contains(err.Error(), "1 more") {
			t.Errorf("%s: the run ends with %v", what, err)
		}
		for _, key := range []string{"Grade: 50  =>  50 and one", "Grade: points < 0  =>  points <= 0"} {
			if got := fateOf(t, o.jsonTo, key); got != string(Untried) {
				t.Errorf("%s: %s: %q", what, key, got)
			}
		}
		if killed, alive, _ := r.count(); killed+alive != 0 {
			t.Errorf("%s: %d killed, %d alive", what, killed, alive)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := conclude(ended, b, r, o); !errors.Is(err, context.Canceled) || errors.Is(err, errNotStarted) {
			t.Errorf("%s: a run that was ended: %v", what, err)
		}
	}
	if err := b.survey(t.Context(), 1); !errors.Is(err, errNotStarted) {
		t.Errorf("the survey ends with %v", err)
	}
	if err := b.divide(t.Context(), b.suites[0], options{jobs: 1, subtests: 1}); !errors.Is(err, errNotStarted) {
		t.Errorf("the division ends with %v", err)
	}
}

// A process that somebody kills is asked once more; one that is killed each time has been by its mutant.
func TestTestsThatAreKilled(t *testing.T) {
	b, r, o := sampleBench(t, "Grade: 50")
	binary := b.suites[0].binary
	asked := filepath.Join(t.TempDir(), "asked")
	for _, c := range []struct {
		script string
		fate   Fate
		asked  int
	}{
		{"kill -9 $$", Killed, 2},
		{"[ $(wc -c <" + asked + ") -gt 1 ] || kill -9 $$", Survived, 0},
		{"[ $(wc -c <" + asked + ") -gt 1 ] || kill -9 $$; exit 1", Killed, 2},
		{"kill -TERM $$", Killed, 1},
		{"exit 1", Killed, 1},
	} {
		must(t, os.WriteFile(asked, nil, 0o600))
		must(t, os.Remove(binary))
		must(t, os.WriteFile(binary, []byte("#!/bin/sh\nprintf x >>"+asked+"\n"+c.script+"\n"), 0o700))
		m := *r.tried[0]
		m.Fate = Untried
		must(t, conclude(t.Context(), b, report{all: 1, tried: []*Mutant{&m}}, o))
		text, err := os.ReadFile(asked)
		must(t, err)
		if m.Fate != c.fate || c.asked > 0 && len(text) != c.asked {
			t.Errorf("%s: %s after %d", c.script, m.Fate, len(text))
		}
	}
}

// What is accepted in this repository is well formed, and each entry is a mutant that there is.
func TestAcceptedHere(t *testing.T) {
	t.Chdir("../..")
	accepted, err := readAccepted("internal/mutants/accepted.txt")
	must(t, err)
	if len(accepted) == 0 {
		t.Fatal("nothing is accepted")
	}
	dirs := make(map[string]bool)
	var only []string
	for k := range accepted {
		if dir := filepath.Dir(k.file); !dirs[dir] {
			dirs[dir] = true
			only = append(only, dir)
		}
	}
	targets, err := load(t.Context(), only)
	must(t, err)
	all, err := mutateAll(targets)
	must(t, err)
	there := make(map[acceptedKey]bool)
	for _, m := range all {
		there[acceptedKey{m.File, m.key()}] = true
	}
	for k, reason := range accepted {
		if !there[k] {
			t.Errorf("accepted, and no mutant: %s %s (%s)", k.file, k.key, reason)
		}
	}
}
