package unread_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/internal/unread"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`{"by":"zoe","note":"went","until":1}`:          `{"by":"P","note":"","until":1}`,
		`{"a":[{"by":"zoe"},2],"note":"of the others"}`: `{"a":[{"by":"P"},2],"note":"of the others"}`,
		`{"by":"zoey"}`: `{"by":"zoey"}`,
		`"zoe"`:         `"P"`,
		`7`:             `7`,
		`null`:          `null`,
		`of zoe {`:      `of P {`,
	} {
		next, found := unread.Redact([]byte(text), []string{"zoe"}, "P")
		if string(next) != want || found != (text != want) {
			t.Errorf("%s becomes %s, %v", text, next, found)
		}
		rest, _ := unread.Whole([]byte(text)).Redact([]string{"zoe"}, "P")
		if got := unread.Add(nil, rest); string(got) != want {
			t.Errorf("as a rest %s becomes %s", text, got)
		}
	}
	if _, found := (unread.Rest{}).Redact([]string{"zoe"}, "P"); found {
		t.Error("found in nothing")
	}
}
