package main

import (
	"os"
	"path/filepath"
	"testing"
)

// mutantsOf are three mutants of F, of which the first two look the same, and one of G.
func mutantsOf(fates ...Fate) []*Mutant {
	all := []*Mutant{
		{File: "a.go", In: "F", Was: "0", Is: "0 and one"},
		{File: "a.go", In: "F", Was: "0", Is: "0 and one"},
		{File: "a.go", In: "F", Was: "x < 1", Is: "x <= 1"},
		{File: "a.go", In: "G", Was: "y", Is: "left out"},
	}
	for i, f := range fates {
		all[i].Fate = f
	}
	return all
}

func fates(all []*Mutant) (list [4]Fate) {
	for i, m := range all {
		list[i] = m.Fate
	}
	return list
}

// TestKnown: what an earlier run killed is not tried again; what lived then, or stands in a function that has changed since, is.
func TestKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.json")
	recalled := func(all []*Mutant) [4]Fate {
		if err := (report{tried: all}).recall(path); err != nil {
			t.Fatal(err)
		}
		return fates(all)
	}
	fresh := [4]Fate{Untried, Untried, Untried, Untried}
	if got := recalled(mutantsOf(fresh[:]...)); got != fresh {
		t.Errorf("without a file: %q", got)
	}
	before := report{tried: mutantsOf(Survived, Killed, TimedOut, Killed)}
	if err := before.write(path); err != nil {
		t.Fatal(err)
	}
	if got := recalled(mutantsOf(fresh[:]...)); got != [4]Fate{Untried, Killed, TimedOut, Killed} {
		t.Errorf("got %q", got)
	}
	changed := mutantsOf(fresh[:]...)
	changed[2].Was = "x < 2"
	if got := recalled(changed); got != [4]Fate{Untried, Untried, Untried, Killed} {
		t.Errorf("after a change of F: %q", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if (report{}).recall(path) == nil {
		t.Error("a file that cannot be read passes")
	}
}

// TestTrust: what is accepted counts as accepted without being tried.
func TestTrust(t *testing.T) {
	r := report{tried: mutantsOf(Untried, Untried, Untried, Untried), accepted: map[acceptedKey]string{{"a.go", "F: x < 1  =>  x <= 1"}: "none"}}
	r.trust()
	if got := fates(r.tried); got != [4]Fate{Untried, Untried, Accepted, Untried} || len(r.untried()) != 3 {
		t.Errorf("got %q, %d to try", got, len(r.untried()))
	}
	r.tried[0].Fate = Killed
	if killed, alive, accepted := r.count(); killed != 1 || alive != 0 || accepted != 1 {
		t.Errorf("%d killed, %d alive, %d accepted", killed, alive, accepted)
	}
}
