package dormouse_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The ten lines of the README are those of the example: what is made of a template and a workspace is the same to the letter.
func TestReadmeIsTheExample(t *testing.T) {
	text := func(file string) string {
		all, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		one := strings.Join(strings.Fields(string(all)), " ")
		return strings.NewReplacer(", }", "}", "{ ", "{", " }", "}").Replace(one)
	}
	readme, example := text("README.md"), text("example_test.go")
	for _, part := range []string{`dormouse\.Template\{[^{]*\{[^}]*\}\}`, `dormouse\.NewWorkspace\{[^}]*\}`} {
		said := regexp.MustCompile(part).FindString(readme)
		said = strings.NewReplacer("tmpl.ID", "template.ID").Replace(said)
		if said == "" || !strings.Contains(example, said) {
			t.Errorf("the README has %q, and the example does not", said)
		}
	}
}
