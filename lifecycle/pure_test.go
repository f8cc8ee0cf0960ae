package lifecycle_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// mayImport is what the core is made of: no clock, no logger, no metrics, nothing that leaves the process.
var mayImport = map[string]bool{
	"bytes": true, "cmp": true, "context": true, "encoding/json": true, "errors": true, "fmt": true, "iter": true, "maps": true,
	"math": true, "math/bits": true, "slices": true, "strconv": true, "strings": true, "time": true, "unicode/utf8": true,
	"github.com/google/uuid":                           true,
	"github.com/dormouse-go/dormouse/schedule":         true,
	"github.com/dormouse-go/dormouse/invalid":          true,
	"github.com/dormouse-go/dormouse/internal/backoff": true,
	"github.com/dormouse-go/dormouse/internal/micros":  true, "github.com/dormouse-go/dormouse/internal/text": true,
	"github.com/dormouse-go/dormouse/internal/unread": true,
}

// clocks are the functions of package time that read one.
var clocks = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Sleep": true, "Tick": true, "NewTimer": true, "NewTicker": true,
}

func TestTheCoreReadsNoClock(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range files {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !mayImport[path] {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" && clocks[s.Sel.Name] {
					t.Errorf("%s calls time.%s", name, s.Sel.Name)
				}
			}
			return true
		})
	}
}

// What the core links beyond google/uuid reaches no network, and nothing of what the engines around it need.
func TestTheCoreLinksNoShell(t *testing.T) {
	byUUID := map[string]bool{}
	for _, path := range deps(t, "github.com/google/uuid") {
		byUUID[path] = true
	}
	for _, path := range deps(t, ".") {
		shell := path == "net" || strings.HasPrefix(path, "net/") || strings.HasPrefix(path, "crypto/tls") || path == "log/slog" ||
			strings.Contains(path, "prometheus") || strings.Contains(path, "quartz")
		if shell && !byUUID[path] {
			t.Errorf("the core links %s", path)
		}
	}
}

// deps returns what a package imports, directly or not.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
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
