package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// A run may go on where another ended, and need not repeat what is known: a mutant that a test has killed stays killed while
// tests are only added and its function is as it was.

// write keeps every mutant and its fate.
func (r report) write(path string) error {
	text, err := json.MarshalIndent(r.tried, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// recall takes over what was killed in an earlier run, "" for none. A file that is not there yet says nothing, so that the first
// of several runs is called as the others are.
func (r report) recall(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	var before []*Mutant
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil {
		return fmt.Errorf("read what is known: %w", err)
	}
	was, is := byFunction(before), byFunction(r.tried)
	for f, mutants := range is {
		if !sameMutants(was[f], mutants) {
			continue
		}
		for i, m := range mutants {
			if old := was[f][i]; m.Fate == Untried && (old.Fate == Killed || old.Fate == TimedOut) {
				m.Fate, m.By = old.Fate, old.By
			}
		}
	}
	return nil
}

type function struct{ file, in string }

func byFunction(all []*Mutant) map[function][]*Mutant {
	found := map[function][]*Mutant{}
	for _, m := range all {
		f := function{m.File, m.In}
		found[f] = append(found[f], m)
	}
	return found
}

func sameMutants(a, b []*Mutant) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].key() != b[i].key() {
			return false
		}
	}
	return true
}

// trust does not try what is accepted.
func (r report) trust() {
	for _, m := range r.tried {
		if r.reason(m) != "" {
			m.Fate = Accepted
		}
	}
}

func (r report) untried() (all []*Mutant) {
	for _, m := range r.tried {
		if m.Fate == Untried {
			all = append(all, m)
		}
	}
	return all
}
