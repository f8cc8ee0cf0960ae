package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFates mutates a small package whose tests are known to be good in one place and bad in others.
func TestFates(t *testing.T) {
	t.Chdir("../..")
	before := stateOf(t)
	o := options{
		only: []string{"internal/mutants/testdata/sample"}, jobs: 2, slack: time.Second,
		jsonTo: filepath.Join(t.TempDir(), "all.json"), accept: filepath.Join(t.TempDir(), "none"),
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ key, fate string }{
		{"Grade: points < 0  =>  points <= 0", "killed"},
		{"Grade: points > 100  =>  points >= 100", "killed"},
		{"Grade: points < 0 of points < 0 || points > 100  =>  false", "killed"},
		{"Grade: points >= 50  =>  points > 50", "killed"},
		{"Grade: 50  =>  50 and one", "killed"},
		{`Grade: return "", errBad  =>  left out`, "killed"},
		{`Grade: return "", errBad  =>  return of zero`, "killed"},
		{"Late: due.Before(now)  =>  due is at most now", "survived"},
		{"Late: due.Before(now)  =>  !(due.Before(now))", "killed"},
		{"Loop: n--  =>  left out", "timed out"},
		{"Loop: sum += n  =>  left out", "killed"},
		{"Loop: n > 0  =>  n >= 0", "survived"},
		{"Forgotten: max(a, b)  =>  min(a, b)", "not reached"},
		{"Kind.Plain: k == plain  =>  !(k == plain)", "killed"},
		{"query: SELECT id FROM rows WHERE at <= 5 AND NOT gone  =>  SELECT id FROM rows WHERE at < 5 AND NOT gone", "survived"},
		{"query: SELECT id FROM rows WHERE at <= 5 AND NOT gone  =>  SELECT id FROM rows WHERE at <= 5 OR NOT gone", "survived"},
	} {
		if got := fateOf(t, o.jsonTo, want.key); got != want.fate {
			t.Errorf("%s: %q, want %q", want.key, got, want.fate)
		}
	}
	if after := stateOf(t); !bytes.Equal(before, after) {
		t.Fatal("the tree has changed")
	}
}

// TestChosenTests: what only other tests would kill survives, whether they are asked as wholes or by their subtests.
func TestChosenTests(t *testing.T) {
	t.Chdir("../..")
	o := options{
		only: []string{"internal/mutants/testdata/sample"}, jobs: 2, slack: time.Second, match: "Grade: 50|Loop: sum", runs: "Grade", subtests: 1,
		jsonTo: filepath.Join(t.TempDir(), "all.json"), accept: filepath.Join(t.TempDir(), "none"),
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"Grade: 50  =>  50 and one": "killed", "Loop: sum += n  =>  left out": "not reached"} {
		if got := fateOf(t, o.jsonTo, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// TestSubtests: the parts of a test are asked by themselves, and one without parts as a whole.
func TestSubtests(t *testing.T) {
	out := []byte("=== RUN   TestA\n=== RUN   TestA/x\n=== RUN   TestA/x/1\n=== RUN   TestA/x/2\n    --- PASS: TestA/x/1 (0.00s)\n=== RUN   TestA/y(z)\n=== RUN   TestB\n")
	for level, want := range [][]string{{"TestA", "TestB"}, {"TestA/x", "TestA/y(z)", "TestB"}, {"TestA/x/1", "TestA/x/2", "TestA/y(z)", "TestB"}} {
		if got := subtests(out, level); !slices.Equal(got, want) {
			t.Errorf("level %d: %q, want %q", level, got, want)
		}
	}
	if got, want := pattern([]string{"TestA/y(z)", "TestB"}), `^TestA$/^y\(z\)$|^TestB$`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestBestIsAskedFirst: of the tests that take long the one that has killed most is asked alone, also where it is a part of another.
func TestBestIsAskedFirst(t *testing.T) {
	s := &suite{kills: map[string]int{}}
	for _, name := range []string{"TestA/x", "TestA/y", "TestB"} {
		s.tests = append(s.tests, test{name: name, worked: time.Second, reaches: map[int]bool{1: true}})
	}
	for _, c := range []struct{ by, first string }{{"", "TestA/x"}, {"TestA/y/3", "TestA/y"}, {"TestB", "TestA/y"}, {"TestB/1", "TestB"}} {
		s.noticed(c.by)
		if runs := s.reaching(1); len(runs) != 2 || len(runs[0]) != 1 || len(runs[1]) != 2 || runs[0][0].name != c.first {
			t.Errorf("after a kill by %q: asked are %v", c.by, runs)
		}
	}
}

// TestPortions: many tests that are little work and take long are asked in portions that grow, those first that have killed most.
func TestPortions(t *testing.T) {
	s := &suite{kills: map[string]int{"7": 2, "99": 1}}
	for i := range 100 {
		s.tests = append(s.tests, test{name: strconv.Itoa(i), took: time.Second, reaches: map[int]bool{1: i != 5}})
	}
	var sizes []int
	asked := map[string]bool{}
	runs := s.reaching(1)
	for _, run := range runs {
		sizes = append(sizes, len(run))
		for _, one := range run {
			asked[one.name] = true
		}
	}
	if want := []int{4, 1, 4, 16, 64, 10}; !slices.Equal(sizes, want) || len(asked) != 99 || asked["5"] {
		t.Errorf("portions of %v, want %v; %d tests are asked", sizes, want, len(asked))
	}
	if first := runs[0]; first[0].name != "7" || first[1].name != "99" || first[2].name != "0" {
		t.Errorf("first are %v", first)
	}
}

func stateOf(t *testing.T) (all []byte) {
	t.Helper()
	files, _ := filepath.Glob("internal/mutants/testdata/sample/*")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, f...), text...)
	}
	return all
}

func fateOf(t *testing.T, path, key string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*Mutant
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m *Mutant) bool { return m.key() == key })
	if i < 0 {
		return "no such mutant"
	}
	return string(all[i].Fate)
}

// TestAccepted: what is accepted counts neither as killed nor as alive, needs a reason, and is told when it is out of date.
func TestAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accepted.txt")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("# a comment\na.go F: x < 1  =>  x <= 1\n\tno x is 1,\n\tsee G\nb.go G: y  =>  left out\n\tnothing\n")
	accepted, err := readAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	of := &target{path: "p"}
	r := report{all: 3, whole: true, accepted: accepted, tried: []*Mutant{
		{File: "a.go", In: "F", Was: "x < 1", Is: "x <= 1", Fate: Survived, target: of},
		{File: "a.go", In: "F", Was: "z", Is: "left out", Fate: Missed, target: of},
		{File: "b.go", In: "G", Was: "y", Is: "left out", Fate: Killed, target: of},
	}}
	if r.score() != 50 || r.reason(r.tried[0]) != "no x is 1, see G" {
		t.Fatal(r.score(), accepted)
	}
	var out strings.Builder
	r.print(&out)
	for _, want := range []string{"a.go:0 F (not reached)", "accepted, and not alive: b.go G: y  =>  left out", "score 50.0 %", "as alive 33.3 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for what, text := range map[string]string{
		"without a reason": "a.go F: x < 1  =>  x <= 1\n", "a reason for nothing": "\tso\na.go F: x < 1  =>  x <= 1\n\tso\n",
		"no mutant": "a.go F: x < 1\n\tso\n", "twice": strings.Repeat("a.go F: x < 1  =>  x <= 1\n\tso\n", 2),
	} {
		put(text)
		if _, err := readAccepted(path); err == nil {
			t.Error("accepted:", what)
		}
	}
}

// TestSample: the same seed chooses the same mutants.
func TestSample(t *testing.T) {
	var all []*Mutant
	for i := range 100 {
		all = append(all, &Mutant{ID: i})
	}
	one, _ := choose(all, options{sample: 10, seed: 7})
	two, _ := choose(all, options{sample: 10, seed: 7})
	other, _ := choose(all, options{sample: 10, seed: 8})
	if len(one) != 10 || !slices.Equal(one, two) || slices.Equal(one, other) {
		t.Fatal(one, two, other)
	}
}

// TestShuffled: a sample is tried in an order of its seed, whole and the same each time; a complete run goes file by file.
func TestShuffled(t *testing.T) {
	var all []*Mutant
	for i := range 100 {
		all = append(all, &Mutant{ID: i})
	}
	byID := func(a, b *Mutant) int { return a.ID - b.ID }
	one, two := shuffled(all, options{sample: 100, seed: 7}), shuffled(all, options{sample: 100, seed: 7})
	if slices.IsSortedFunc(one, byID) || !slices.Equal(one, two) || slices.Equal(one, shuffled(all, options{sample: 100, seed: 8})) {
		t.Error("not an order of the seed:", one, two)
	}
	if slices.SortFunc(one, byID); !slices.Equal(one, all) || !slices.Equal(shuffled(all, options{}), all) {
		t.Error("a mutant is missing, or a complete run is out of order")
	}
}
