package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

var (
	// outside are instants that not every store and JSON can write: some are in the years 1 to 9999 where they are read from a clock,
	// and not in UTC.
	outside = []time.Time{
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -12*60*60)),
		time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 1, 0, 0, 0, time.FixedZone("", 12*60*60)), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	// inside are instants that are kept in the form of store.Instant, whatever they look like.
	inside = []time.Time{
		store.FirstInstant, store.LastInstant, time.Date(2026, 3, 2, 8, 0, 0, 999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2026, 3, 2, 8, 0, 0, 1_999, time.FixedZone("odd", 20*60*60+17)), time.Date(10000, 1, 1, 1, 0, 0, 0, time.FixedZone("", 2*60*60)),
	}
)

// instantWriter is a call that writes an instant of the host, and what reads it.
type instantWriter struct {
	name  string
	write func(time.Time) error
	read  func() time.Time
}

// instantWriters are those of templates, the engine and workspaces.
func (f *fixture) instantWriters() []instantWriter {
	registry := skipUnless[lifecycle.Registry](f)
	t := f.template
	t.ID, t.Revision = uuid.New(), 0
	f.must(f.s.PutTemplate(f.ctx, epoch, t))
	stored := func() lifecycle.Template {
		got, _, err := registry.Template(f.ctx, t.ID)
		f.must(err)
		return got
	}
	put := func(change func(*lifecycle.Template)) error {
		next := stored()
		change(&next)
		return f.s.PutTemplate(f.ctx, epoch, next)
	}
	list := []instantWriter{
		{
			"PutTemplate: Hold.Until", func(at time.Time) error {
				return put(func(t *lifecycle.Template) { t.Hold = lifecycle.Hold{Until: at} })
			},
			func() time.Time { return stored().Hold.Until },
		},
		{
			"PutTemplate: PolicyTerms.At", func(at time.Time) error {
				return put(func(t *lifecycle.Template) {
					t.Policy.DefaultTTL += time.Minute
					t.Terms = lifecycle.PolicyTerms{At: at, StopGrace: time.Hour}
				})
			},
			func() time.Time { return stored().Terms.At },
		},
	}
	if h, ok := lifecycle.Ability[lifecycle.Holder](f.s); ok {
		read := func() lifecycle.Engine {
			e, err := h.Engine(f.ctx)
			f.must(err)
			return e
		}
		list = append(list, instantWriter{
			"PutEngine: Hold.Until", func(at time.Time) error {
				return h.PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: lifecycle.Hold{Until: at}})
			},
			func() time.Time { return read().Hold.Until },
		}, instantWriter{
			"PutEngine: DeletionsReleasedUntil", func(at time.Time) error {
				return h.PutEngine(f.ctx, epoch, lifecycle.Engine{DeletionsReleasedUntil: at})
			},
			func() time.Time { return read().DeletionsReleasedUntil },
		})
	}
	return append(list, f.workspaceInstants()...)
}

// workspaceInstants are the instants that a new workspace may have.
func (f *fixture) workspaceInstants() (list []instantWriter) {
	for name, field := range map[string]func(*lifecycle.Workspace) *time.Time{
		"CreatedAt":      func(w *lifecycle.Workspace) *time.Time { return &w.CreatedAt },
		"LastUsedAt":     func(w *lifecycle.Workspace) *time.Time { return &w.LastUsedAt },
		"DormantAt":      func(w *lifecycle.Workspace) *time.Time { return &w.DormantAt },
		"DeletingAt":     func(w *lifecycle.Workspace) *time.Time { return &w.DeletingAt },
		"AutostartAfter": func(w *lifecycle.Workspace) *time.Time { return &w.AutostartAfter },
		"Floors.Delete":  func(w *lifecycle.Workspace) *time.Time { return &w.Floors.Delete },
		"Hold.Until":     func(w *lifecycle.Workspace) *time.Time { return &w.Hold.Until },
	} {
		var last uuid.UUID
		list = append(list, instantWriter{"CreateWorkspaces: " + name, func(at time.Time) error {
			w := f.workspace()
			*field(&w), last = at, w.ID
			return f.s.CreateWorkspaces(f.ctx, epoch, w)
		}, func() time.Time { w := f.load(last).Workspace; return *field(&w) }})
	}
	return list
}

// testInstants writes instants at the edges of what can be kept: each is refused by name, or kept in one form, by every call.
func testInstants(f *fixture) {
	for _, w := range f.instantWriters() {
		for _, at := range outside {
			err := w.write(at)
			f.rule(errors.Is(err, invalid.Err), "%s refuses %v: got %v", w.name, at, err)
		}
		for _, at := range inside {
			f.must(w.write(at))
			got := w.read()
			f.rule(reflect.DeepEqual(got, store.Instant(at)), "%s keeps %v as %v: got %v", w.name, at, store.Instant(at), got)
		}
	}
}

// testClocks writes at instants that a clock may show and that cannot be kept.
func testClocks(f *fixture) {
	registry := skipUnless[lifecycle.Registry](f)
	for i, now := range slices.Concat(outside, inside) {
		t, o := f.template, f.owner
		t.ID, t.Revision, o.ID, o.Name, o.Status = uuid.New(), 0, uuid.New(), fmt.Sprint("clock ", i), lifecycle.OwnerDormant
		f.must(f.s.PutTemplate(f.ctx, now, t))
		f.must(f.s.PutOwner(f.ctx, now, o))
		t, _, err := registry.Template(f.ctx, t.ID)
		f.must(err)
		t.ActiveVersionID, o.Status = uuid.New(), lifecycle.OwnerActive
		f.must(f.s.PutTemplate(f.ctx, now, t))
		f.must(f.s.PutOwner(f.ctx, now, o))
		t, _, err = registry.Template(f.ctx, t.ID)
		f.must(err)
		o, _, err = registry.Owner(f.ctx, o.ID)
		f.must(err)
		want := store.Instant(now)
		f.rule(t.VersionSince.Equal(want) && o.AutostartAfter.Equal(want), "what is written at %v is of %v: got %v and %v", now, want, t.VersionSince, o.AutostartAfter)
	}
}
