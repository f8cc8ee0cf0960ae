package text_test

import (
	"math"
	"testing"

	"github.com/dormouse-go/dormouse/internal/text"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n             int
		number, count string
		times         string
	}{
		{math.MinInt64, "-9,223,372,036,854,775,808", "-9,223,372,036,854,775,808 jobs wait", "-9,223,372,036,854,775,808 times"},
		{-12_345, "-12,345", "-12,345 jobs wait", "-12,345 times"},
		{-100, "-100", "-100 jobs wait", "-100 times"},
		{-1, "-1", "-1 jobs wait", "-1 times"},
		{0, "0", "0 jobs wait", "never"},
		{1, "1", "1 job waits", "once"},
		{2, "2", "2 jobs wait", "twice"},
		{11, "11", "11 jobs wait", "11 times"},
		{999, "999", "999 jobs wait", "999 times"},
		{1000, "1,000", "1,000 jobs wait", "1,000 times"},
		{1_234_567, "1,234,567", "1,234,567 jobs wait", "1,234,567 times"},
	} {
		if got := text.Number(c.n); got != c.number {
			t.Errorf("Number(%d) is %q", c.n, got)
		}
		if got := text.Count(c.n, "job waits", "jobs wait"); got != c.count {
			t.Errorf("Count(%d) is %q", c.n, got)
		}
		if got := text.Times(c.n); got != c.times {
			t.Errorf("Times(%d) is %q", c.n, got)
		}
	}
}
