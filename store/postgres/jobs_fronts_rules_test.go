package postgres_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/store/postgres"
)

// A bound rises to the number claimed last once everything that was open when that was read has ended, never above what a lane
// holds, and falls to what a whole look finds in front of it.
func TestFrontsRise(t *testing.T) {
	var f postgres.Fronts
	org := uuid.New()
	for i, look := range []struct {
		heads               map[string]int64
		claimed, xmin, xmax int64
		want                map[string]int64
	}{
		{heads: map[string]int64{"a": 3}, claimed: 0, xmin: 10, xmax: 10, want: map[string]int64{"a": 0}},
		{heads: map[string]int64{"a": 5, "b": 6}, claimed: 4, xmin: 11, xmax: 11, want: map[string]int64{"a": 0, "b": 0}},
		{heads: map[string]int64{"a": 8}, claimed: 7, xmin: 12, xmax: 12, want: map[string]int64{"a": 4, "b": 4}},
		{heads: map[string]int64{"a": 5}, claimed: 9, xmin: 13, xmax: 14, want: map[string]int64{"a": 5, "b": 7}},
		// One that was open when 9 was read is open still.
		{claimed: 11, xmin: 13, xmax: 16, want: map[string]int64{"a": 7, "b": 7}},
		// A look whose snapshot is older than the one that settled learns nothing new, but what it sees counts.
		{heads: map[string]int64{"a": 2}, claimed: 11, xmin: 11, xmax: 12, want: map[string]int64{"a": 2, "b": 7}},
		{claimed: 11, xmin: 11, xmax: 12, want: map[string]int64{"a": 2, "b": 7}},
		{claimed: 11, xmin: 12, xmax: 12, want: map[string]int64{"a": 7, "b": 7}},
		// It has ended.
		{claimed: 11, xmin: 14, xmax: 16, want: map[string]int64{"a": 9, "b": 9}},
		{claimed: 11, xmin: 16, xmax: 16, want: map[string]int64{"a": 11, "b": 11}},
	} {
		if !f.Learn(org, look.heads, look.claimed, look.xmin, look.xmax) {
			t.Errorf("look %d: the bounds are said to be void", i)
		}
		got, priorities := f.Bounds(org)
		if !maps.Equal(got, look.want) || len(priorities) != 1 || priorities[0] != 0 {
			t.Errorf("look %d: bounds %v of the priorities %v, want %v", i, got, priorities, look.want)
		}
	}
}

// Where the number claimed last is lower than it was, as after a restore, nothing that was learned is true. Other organizations
// have nothing to do with it.
func TestFrontsAreVoid(t *testing.T) {
	var f postgres.Fronts
	org, other := uuid.New(), uuid.New()
	for x := range int64(3) {
		for _, id := range []uuid.UUID{org, other} {
			if !f.Learn(id, map[string]int64{"a": 100}, 50, x, x) {
				t.Fatal("void from the beginning")
			}
		}
	}
	if got, _ := f.Bounds(org); got["a"] != 50 {
		t.Fatalf("bounds %v", got)
	}
	if f.Learn(org, map[string]int64{"a": 100}, 49, 4, 4) {
		t.Error("bounds above the number claimed last are said to be true")
	}
	if got, priorities := f.Bounds(org); got != nil || priorities != nil {
		t.Errorf("bounds %v of %v are left", got, priorities)
	}
	if got, _ := f.Bounds(other); got["a"] != 50 {
		t.Errorf("bounds of another organization: %v", got)
	}
	if got, _ := f.Bounds(uuid.New()); got != nil {
		t.Errorf("bounds of one that nobody has looked at: %v", got)
	}
}

// A look is told the bounds of lanes from which something was claimed since they were found, in the order in which walks come past
// them. A lane that holds nothing, which a whole look does not come past, stays where it is.
func TestFrontsThatAreTold(t *testing.T) {
	var f postgres.Fronts
	org := uuid.New()
	for i, look := range []struct {
		heads   map[string]int64
		claimed int64
		want    string
	}{
		{heads: map[string]int64{"b": 3, "d": 3}, claimed: 2},
		{heads: map[string]int64{"b": 3, "d": 9}, claimed: 8},
		{heads: map[string]int64{"b": 3, "d": 9}, claimed: 8, want: "d"},
		{heads: map[string]int64{"d": 9}, claimed: 8, want: "b d"},
		{heads: map[string]int64{"a": 8, "b": 0, "c": 20, "d": 9}, claimed: 8, want: "b d"},
		{heads: map[string]int64{"a": 8, "d": 9, "e": 20}, claimed: 16, want: "b d"},
		{heads: map[string]int64{"a": 17, "b": 0, "c": 20, "d": 0, "e": 20}, claimed: 16, want: "a b d"},
		{heads: map[string]int64{"a": 0, "b": 0, "d": 0}, claimed: 30, want: "a b d"},
		{heads: map[string]int64{"a": 0, "b": 0, "d": 0}, claimed: 30, want: "a b c d e"},
	} {
		x := int64(i)
		if !f.Learn(org, look.heads, look.claimed, x, x) {
			t.Fatalf("look %d: the bounds are said to be void", i)
		}
		if got := strings.Join(f.Told(org), " "); got != look.want {
			t.Errorf("look %d: the bounds of %q are told, want %q", i, got, look.want)
		}
	}
}

// What is remembered is bounded: 1,024 organizations, and as many lanes of each.
func TestFrontsAreBounded(t *testing.T) {
	var f postgres.Fronts
	first := uuid.New()
	f.Learn(first, map[string]int64{"a": 1}, 0, 1, 1)
	for range 1023 {
		f.Learn(uuid.New(), map[string]int64{"a": 1}, 0, 1, 1)
	}
	if got, _ := f.Bounds(first); got == nil {
		t.Error("forgotten among 1,024 organizations")
	}
	last := uuid.New()
	f.Learn(last, map[string]int64{"a": 1}, 0, 1, 1)
	one, _ := f.Bounds(first)
	if two, _ := f.Bounds(last); one != nil || two == nil {
		t.Errorf("of 1,025 organizations the first has %v and the last %v", one, two)
	}
	lanes := map[string]int64{}
	for i := range 1024 {
		lanes[fmt.Sprint(i)] = 1
	}
	f.Learn(last, lanes, 0, 2, 2)
	if got, _ := f.Bounds(last); len(got) != 0 {
		t.Errorf("%d lanes of 1,025", len(got))
	}
	f.Learn(last, map[string]int64{"b": 1}, 0, 3, 3)
	if got, _ := f.Bounds(last); len(got) != 1 {
		t.Errorf("%d lanes after more than 1,024", len(got))
	}
	f.Learn(first, lanes, 0, 1, 1)
	f.Learn(first, map[string]int64{"0": 1}, 0, 2, 2)
	if got, _ := f.Bounds(first); len(got) != 1024 {
		t.Errorf("%d lanes after 1,024", len(got))
	}
}
