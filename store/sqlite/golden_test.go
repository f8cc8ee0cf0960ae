package sqlite_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

var update = flag.Bool("update", false, "write the golden files")

// Statements that are put together from lists of columns are in testdata as a whole, for those who read them, and so
// that a change of a list shows what it does to each.
func TestStatementsAreAsShown(t *testing.T) {
	for name, text := range sqlite.Statements() {
		path := filepath.Join("testdata", name+".sql")
		text = strings.TrimPrefix(strings.ReplaceAll(text, "\n\t", "\n"), "\n") + "\n"
		if *update {
			must(t, os.WriteFile(path, []byte(text), 0o644))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		if text != string(want) {
			t.Errorf("%s differs from the statement (go test -run %s -update):\n%s", path, t.Name(), text)
		}
	}
}
