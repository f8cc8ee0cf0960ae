package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestPromises(t *testing.T) {
	page := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const intro, rest = "# Name\n\nIt is made to be trusted:\n\n", "\n\n## Rest\n\n- **Bold** in a list that promises nothing.\n"
	for name, c := range map[string]struct{ readme, docs, want string }{
		"held":          {intro + "- **It works** ([always](a/b_test.go#TestAlways)).\n- **It is\n  fast** ([so](a/b_test.go#TestFast))." + rest, "[a](../a/b_test.go#TestFast)", ""},
		"not held":      {intro + "- **It works** ([always](a/b_test.go)).\n- **It is fast** ([so](a/b_test.go#TestFast))." + rest, "", `README.md promises "It works" and links no test that holds it`},
		"no test":       {intro + "- **It works** ([always](a/b_test.go#TestNever))." + rest, "", "README.md links TestNever in a/b_test.go, which has no such test"},
		"no file":       {intro + "- **It works** ([always](b_test.go#TestAlways))." + rest, "", "README.md links b_test.go, which does not exist"},
		"no promise":    {intro + rest, "", "README.md makes no promise"},
		"in other page": {intro + "- **It works** ([always](a/b_test.go#TestAlways))." + rest, "[a](../a/b_test.go#TestSlow)", "docs/page.md links TestSlow in a/b_test.go, which has no such test"},
	} {
		got, err := checkPromises(fstest.MapFS{
			"README.md": page(c.readme), "docs/page.md": page(c.docs), "a/b_test.go": page("func TestAlways(t *testing.T) {}\nfunc TestFast(t *testing.T) {}"),
		})
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %v, error %v; want %s", name, got, err, c.want)
		}
	}
}
