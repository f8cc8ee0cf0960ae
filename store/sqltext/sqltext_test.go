package sqltext_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/store/sqltext"
)

func TestList(t *testing.T) {
	list := sqltext.List(100, func(i int) string { return "column" + strconv.Itoa(i) })
	items := strings.Split(list, ",")
	if len(items) != 100 || strings.TrimSpace(items[42]) != "column42" || strings.HasSuffix(list, ",") {
		t.Errorf("%d items: %q", len(items), list)
	}
	for _, line := range strings.Split(list, "\n") {
		if len(line) > 120 {
			t.Errorf("a line of %d characters: %q", len(line), line)
		}
	}
	if got := sqltext.InParentheses(sqltext.List(2, strconv.Itoa)); got != "(0, 1)" {
		t.Errorf("a short list is %q", got)
	}
	if got := sqltext.InParentheses(list); !strings.HasPrefix(got, "(\n") || !strings.HasSuffix(got, "\n\t\t)") {
		t.Errorf("a long list is %q", got)
	}
	if got := sqltext.InParentheses(sqltext.List(0, nil)); got != "()" {
		t.Errorf("an empty list is %q", got)
	}
}
