package meter_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

func TestQuantiles(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = (i * 37) % 100 // each once, in no order
	}
	before := slices.Clone(hundred)
	for _, c := range []struct {
		share float64
		want  int
	}{{0, 0}, {0.5, 50}, {0.99, 99}, {1, 99}} {
		if got := meter.Quantile(hundred, c.share); got != c.want {
			t.Errorf("quantile %v of 0 to 99 is %d, want %d", c.share, got, c.want)
		}
	}
	if !slices.Equal(hundred, before) {
		t.Error("the readings are in another order")
	}
	if got := meter.Median([]time.Duration{3, 1}); got != 3 {
		t.Errorf("the median of two is %d", got)
	}
	if got := meter.Median([]float64{2.5, 9, 1}); got != 2.5 {
		t.Errorf("the median of three is %v", got)
	}
	if got := meter.Median([]int(nil)); got != 0 {
		t.Errorf("the median of nothing is %d", got)
	}
}
