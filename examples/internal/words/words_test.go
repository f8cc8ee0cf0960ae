package words_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/examples/internal/words"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{
		-1234: "-1,234 jobs wait", -100: "-100 jobs wait", 0: "0 jobs wait", 1: "1 job waits", 999: "999 jobs wait", 1_234_567: "1,234,567 jobs wait",
	} {
		if got := words.Count(n, "job waits", "jobs wait"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
