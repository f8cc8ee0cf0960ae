package main

import (
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// graphOf makes a graph of lines "package: imports", with paths in the repository; a path with a dot, or of a package
// that is not among the lines, is of somebody else.
func graphOf(lines ...string) graph {
	own := map[string]bool{}
	for _, line := range lines {
		of, _, _ := strings.Cut(line, ":")
		own[of] = true
	}
	full := func(p string) string {
		if own[p] && !strings.Contains(p, ".") {
			return absolute(p)
		}
		return p
	}
	g := graph{}
	for _, line := range lines {
		of, imports, _ := strings.Cut(line, ":")
		p := &pkg{ImportPath: full(of)}
		for _, i := range strings.Fields(imports) {
			p.Imports = append(p.Imports, full(i))
		}
		g[p.ImportPath] = p
	}
	return g
}

func sourceOf(t *testing.T, name, text string) source {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{Package: path.Dir(name), Name: name, File: f, Set: set}
}

func TestDirections(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"the arrows as they are", []string{"schedule: invalid", "invalid:", "lifecycle: schedule github.com/google/uuid"}, ""},
		{"an engine and a store", []string{"lifecycle: store", "store:"}, "lifecycle must not import store"},
		{"an engine and another", []string{"rendercache: lifecycle", "lifecycle:"}, "rendercache must not import lifecycle"},
		{"a helper and an engine", []string{"internal/heap: lifecycle", "lifecycle:"}, "internal/heap must not import lifecycle"},
		{"a helper and a helper", []string{"internal/heap: internal/micros", "internal/micros:"}, ""},
		{"the bench imports all", []string{"internal/bench/tick: lifecycle", "lifecycle:"}, ""},
		{"the bench has helpers of its own", []string{"internal/bench/tick: internal/bench/figure", "internal/bench/figure:"}, ""},
		{"the bench and a helper of the root", []string{"internal/bench/tick: internal/micros", "internal/micros:"}, "tick must not import internal/micros"},
		{"a nested store and a helper", []string{"store/sqlite: internal/micros", "internal/micros:"}, "store/sqlite must not import internal/micros"},
		{"below is not beside", []string{"lifecycle: lifecycle/executor", "lifecycle/executor:"}, "lifecycle must not import lifecycle/executor"},
		{"nobody imports the root", []string{":", "store: "}, ""},
		{"a store that imports the root", []string{":", "store/sqlite: " + module}, "store/sqlite must not import the root package"},
		{"an unknown package", []string{"util:"}, "util: say in"},
	} {
		t.Run(c.name, func(t *testing.T) { wantOne(t, checkDirections(graphOf(c.lines...), directions), c.want) })
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"directly", []string{"lifecycle: net/http"}, "the core is pure: lifecycle -> net/http"},
		{"by way of another", []string{"schedule: x.org/a", "x.org/a: log/slog"}, "the core is pure: schedule -> x.org/a -> log/slog"},
		{"through a cut", []string{"lifecycle: github.com/google/uuid", "github.com/google/uuid: net"}, ""},
		{"beside a cut", []string{"lifecycle: github.com/google/uuid x.org/a", "github.com/google/uuid: net", "x.org/a: net"}, "lifecycle -> x.org/a -> net"},
		{"a worker and an engine", []string{"acquirer/worker: acquirer", "acquirer:"}, "acquirer/worker -> acquirer"},
		{"a worker and the queue", []string{"acquirer/worker: acquirer/queue", "acquirer/queue:"}, ""},
		{"a driver in the root module", []string{"store/memory: github.com/jackc/pgx/v5"}, "store/memory -> github.com/jackc/pgx/v5"},
		{"a driver in a nested module", []string{"store/postgres: github.com/jackc/pgx/v5"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantOne(t, checkLinks(graphOf(c.lines...), links), c.want) })
	}
}

func TestTestingIsNotLinked(t *testing.T) {
	wantOne(t, checkTestingIsNotLinked(graphOf("store: x.org/a", "x.org/a: testing")), "store -> x.org/a -> testing")
	wantOne(t, checkTestingIsNotLinked(graphOf("store/storetest: testing")), "")
}

func TestRequirements(t *testing.T) {
	wantOne(t, checkRequirements(requirements), "")
	wantOne(t, checkRequirements(append(slices.Clone(requirements), "x.org/a")), "x.org/a")
}

func TestClocks(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"lifecycle/a.go", `package p; import "time"; var x = time.Now()`, "lifecycle/a.go:1: uses time.Now"},
		{"schedule/a.go", `package p; import "time"; var x = time.Since`, "time.Since"},
		{"schedule/a.go", `package p; import t "time"; var x = t.Until`, "time.Until"},
		{"schedule/a.go", `package p; import . "time"; var x = Now`, "with a dot"},
		{"schedule/a.go", `package p; import "time"; var x = time.Unix(1, 0).After`, ""},
		{"prewarm/plan_age.go", `package p; import "time"; var x = time.Now`, "time.Now"},
		{"prewarm/pool.go", `package p; import "time"; var x = time.Now`, ""},
		{"lifecycle/executor/a.go", `package p; import "time"; var x = time.Now`, ""},
	} {
		wantOne(t, checkClocks([]source{sourceOf(t, c.name, c.text)}), c.want)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`package p; func buryRow() {}`, `buryRow: the field has a term for "bury"`},
		{`package p; var oneEar int`, "oneEar"},
		{`package p; var Year, early, appear int // ear`, ""},
	} {
		wantOne(t, checkWords([]source{sourceOf(t, "lifecycle/a.go", c.text)}), c.want)
	}
}

func TestExportedNames(t *testing.T) {
	text := `package p
const A, b = 1, 2
var V int
type T[X any] struct { F, g int; Embedded }
func (t *T[X]) M() {}
func (t T[X]) m() {}
type u struct { F int }
func (u) M() {}
type I interface { M(); fmt.Stringer }
func New() {}
`
	want := []string{
		"const A", "embed I: fmt.Stringer", "embed T: Embedded", "field T.F", "func New", "method I.M", "method T.M", "type I", "type T", "var V",
	}
	got := exportedNames([]source{
		sourceOf(t, "store/a.go", text), sourceOf(t, "internal/micros/a.go", text), sourceOf(t, "examples/worker/a.go", text),
	})
	if !slices.Equal(got["store"], want) || len(got) != 1 {
		t.Errorf("names are %q, want %q of store only", got, want)
	}
	if n := topLevel(want); n != 5 {
		t.Errorf("%d at the top level, want 5", n)
	}
}

func TestDifference(t *testing.T) {
	got := difference([]string{"func A", "func B"}, []string{"func B", "type C"})
	if want := []string{"- func A", "+ type C"}; !slices.Equal(got, want) {
		t.Errorf("difference is %q, want %q", got, want)
	}
}

func TestBudgets(t *testing.T) {
	names := slices.Repeat([]string{"func F"}, budgets["acquirer"])
	wantOne(t, checkBudgets(map[string][]string{"acquirer": append(names, "field F.G")}), "")
	wantOne(t, checkBudgets(map[string][]string{"acquirer": append(names, "func G")}), "acquirer exports 26 names")
}

// wantOne wants one failure that has a part, or none where the part is empty.
func wantOne(t *testing.T, failures []string, part string) {
	t.Helper()
	switch {
	case part == "" && len(failures) == 0:
	case part != "" && len(failures) == 1 && strings.Contains(failures[0], part):
	default:
		t.Errorf("failures are %q, want %q", failures, part)
	}
}
