package lifecycle_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// pure are the files of the functional core, and what they may import: values, texts, the rules of time.
var pure = []string{"decide.go", "rules.go", "explain.go", "explain_text.go", "apply.go", "verbs.go", "herd.go", "model.go", "policy.go", "event.go"}

var mayImport = map[string]bool{
	"bytes": true, "cmp": true, "errors": true, "fmt": true, "slices": true, "strings": true, "time": true,
	"github.com/google/uuid": true, "github.com/dormouse-go/dormouse/schedule": true,
}

// clocks are the functions of package time that read one.
var clocks = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Tick": true, "NewTimer": true,
	"NewTicker": true, "Sleep": true, "Local": true,
}

func TestNoRuleReadsAClock(t *testing.T) {
	for _, name := range pure {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !mayImport[path] {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" && clocks[call.Sel.Name] {
				t.Errorf("%s reads time.%s", name, call.Sel.Name)
			}
			return true
		})
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	var all []lifecycle.Snapshot
	for seed := range uint64(300) {
		all = append(all, seeded(seed).snapshot())
	}
	now := shift.Add(day)
	run := func() {
		for i := range all {
			decided = lifecycle.Decide(all[i], now)
			woken = lifecycle.NextWake(all[i], now)
		}
	}
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations for %d workspaces", n, len(all))
	}
}
