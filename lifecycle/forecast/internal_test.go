package forecast

import "testing"

// Erlang's table (B = 1 % and 5 %).
func TestLines(t *testing.T) {
	for _, c := range []struct {
		load, lost float64
		want       int
	}{{0, 0.05, 1}, {1, 0.05, 4}, {1, 0.01, 5}, {10, 0.01, 18}, {10, 0.05, 15}, {0.01, 0.05, 1}, {100, 0.01, 117}} {
		if got := lines(c.load, c.lost); got != c.want {
			t.Errorf("load %v, %v lost: %d lines, want %d", c.load, c.lost, got, c.want)
		}
	}
}
