package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

type inner struct{ lifecycle.Store }

func (inner) NextWake(context.Context, lifecycle.Shard) (time.Time, error) { return monday, nil }

type opaque struct{ lifecycle.Store }

type wrapper struct{ lifecycle.Store }

func (w wrapper) Unwrap() lifecycle.Store { return w.Store }

type waking struct{ wrapper }

func (waking) NextWake(context.Context, lifecycle.Shard) (time.Time, error) {
	return monday.Add(day), nil
}

// An ability is found through any number of wrappers, the outermost one first, and not through what hides its inside.
func TestAbility(t *testing.T) {
	for name, c := range map[string]struct {
		store lifecycle.Store
		want  time.Time
	}{
		"itself":         {inner{}, monday},
		"wrapped":        {wrapper{inner{}}, monday},
		"wrapped twice":  {wrapper{wrapper{inner{}}}, monday},
		"of the wrapper": {waking{wrapper{inner{}}}, monday.Add(day)},
		"hidden":         {opaque{inner{}}, time.Time{}},
		"of nobody":      {wrapper{opaque{}}, time.Time{}},
		"around nothing": {wrapper{}, time.Time{}},
		"of no store":    {nil, time.Time{}},
	} {
		w, ok := lifecycle.Ability[lifecycle.Waker](c.store)
		if ok != !c.want.IsZero() {
			t.Errorf("%s: found %v", name, ok)
		}
		if !ok {
			continue
		}
		if at, _ := w.NextWake(t.Context(), lifecycle.Shard{}); !at.Equal(c.want) {
			t.Errorf("%s: the wrong one", name)
		}
	}
}
