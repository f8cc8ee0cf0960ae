package dormouse_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// asked is what a person asks of a plane, and the kind of event that says who.
type asked struct {
	verb string
	kind lifecycle.EventKind
	do   func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error
}

// requests are made in this order, of a workspace that does not run yet.
var requests = []asked{
	{"PutTemplate", lifecycle.EventTemplateChanged, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.PutTemplate(ctx, dormouse.Template{Name: "rust-dev", Policy: policy}, by...)
		return err
	}},
	{"PutOwner", lifecycle.EventOwnerChanged, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.PutOwner(ctx, dormouse.Owner{Name: "ann", QuietHours: "CRON_TZ=Europe/Berlin 0 3 * * *"}, by...)
		return err
	}},
	{"Create", lifecycle.EventCreated, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Create(ctx, dormouse.NewWorkspace{Template: f.template.ID, Owner: "ben", Name: "web"}, by...)
		return err
	}},
	{"Apply", lifecycle.EventTemplateChanged, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		next := policy
		next.DefaultTTL = 9 * time.Hour
		plan, err := f.Plan(ctx, f.template.ID, dormouse.PolicyChange{Policy: next})
		if err == nil {
			_, err = f.Apply(ctx, plan, nil, by...)
		}
		return err
	}},
	{"HoldTemplate", lifecycle.EventTemplateChanged, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		return f.HoldTemplate(ctx, f.template.ID, dormouse.Hold{Until: time.Now().Add(time.Hour), Rules: lifecycle.HoldDeletion}, by...)
	}},
	{"HoldAll", lifecycle.EventEngineChanged, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		return f.HoldAll(ctx, dormouse.Hold{Until: time.Now().Add(time.Hour), Rules: lifecycle.HoldDeletion}, by...)
	}},
	{"Start", lifecycle.EventBuildQueued, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Start(ctx, w.ID, by...)
		return err
	}},
	{"Cancel", lifecycle.EventBuildCanceling, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Cancel(ctx, w.ID, by...)
		return err
	}},
	{"Adopt", lifecycle.EventCreated, func(f *fixture, ctx context.Context, _ dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Adopt(ctx, dormouse.Adopted{
			Workspace: dormouse.NewWorkspace{ID: named(1), Template: f.template.ID, Owner: "ann", Name: "old"},
			Seen:      dormouse.Observation{Running: true, Since: time.Now()},
		}, by...)
		return err
	}},
	{"Observe", lifecycle.EventObserved, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Observe(ctx, w.ID, dormouse.Observation{Running: true, Since: time.Now()}, by...)
		return err
	}},
	{"Extend", lifecycle.EventExtended, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Extend(ctx, w.ID, time.Now().Add(12*time.Hour), by...)
		return err
	}},
	{"SetSchedule", lifecycle.EventChanged, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.SetSchedule(ctx, w.ID, dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-18:00"}, by...)
		return err
	}},
	{"SetTTL", lifecycle.EventChanged, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.SetTTL(ctx, w.ID, 3*time.Hour, by...)
		return err
	}},
	{"Hold", lifecycle.EventChanged, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Hold(ctx, w.ID, dormouse.Hold{Until: time.Now().Add(time.Hour)}, by...)
		return err
	}},
	{"Restart", lifecycle.EventBuildQueued, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Restart(ctx, w.ID, by...)
		return err
	}},
	{"Stop", lifecycle.EventBuildQueued, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Stop(ctx, w.ID, by...)
		return err
	}},
	{"Update", lifecycle.EventDormant, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Update(ctx, w.ID, lifecycle.MarkDormant(false), by...)
		return err
	}},
	{"Wake", lifecycle.EventAwake, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Wake(ctx, w.ID, by...)
		return err
	}},
	{"Delete", lifecycle.EventBuildQueued, func(f *fixture, ctx context.Context, w dormouse.Workspace, by ...dormouse.Option) error {
		_, err := f.Delete(ctx, w.ID, by...)
		return err
	}},
}

// elsewhere are the verbs with a request that this test does not make.
var elsewhere = map[string]string{
	"Claim": "needs a pool: TestPoolOfWorkspaces",
	"Acted": "a plane that only looks writes no events",
}

// Each verb that takes a request leaves an event that says who asked and why, of the organization it concerns; with the
// request of another verb none is mistaken for it.
func TestEveryVerbSaysWhoAskedForIt(t *testing.T) {
	made := map[string]bool{}
	bubble(t, func(c *dormouse.Config) { c.Organization = named(9) }, func(f *fixture) {
		w := f.create("api")
		for _, r := range requests {
			made[r.verb] = true
			f.must(r.do(f, f.t.Context(), w, dormouse.By("ann, by "+r.verb), dormouse.Note("because of "+r.verb)))
			wait := 10 * time.Second // a build takes a minute, and Cancel needs one that runs
			if r.verb != "Start" {
				wait = 2 * time.Minute
			}
			f.wait(wait)
			f.wantSaid(r)
		}
	})
	plane := reflect.TypeFor[*dormouse.Plane]()
	for i := range plane.NumMethod() {
		m := plane.Method(i)
		if last := m.Type.NumIn() - 1; m.Type.In(last) != reflect.TypeFor[[]dormouse.Option]() || made[m.Name] || elsewhere[m.Name] != "" {
			continue
		}
		t.Errorf("nothing is known of the events of %s", m.Name)
	}
}

func (f *fixture) wantSaid(r asked) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := map[string]bool{}
	found := false
	for _, e := range f.audit {
		if keys[e.Key()] {
			f.t.Errorf("two events have the key %s", e.Key())
		}
		keys[e.Key()] = true
		if e.Actor != "ann, by "+r.verb {
			continue
		}
		if e.Note != "because of "+r.verb {
			f.t.Errorf("%s: the note is %q", r.verb, e.Note)
		}
		if e.OrganizationID != named(9) && e.Kind != lifecycle.EventEngineChanged {
			f.t.Errorf("%s: %s is of organization %s", r.verb, e.Kind, e.OrganizationID)
		}
		found = found || e.Kind == r.kind
	}
	if !found {
		f.t.Errorf("%s left no %s that says who asked", r.verb, r.kind)
	}
}

// What changes nothing leaves no event, and a plane whose host has no audit keeps none.
func TestWhatChangesNothingIsNoEvent(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		f.wait(time.Minute)
		before := len(f.audit)
		put := dormouse.Template{Name: "go-dev", Policy: policy}
		_, err := f.PutTemplate(f.t.Context(), put, dormouse.By("ann"))
		f.must(err)
		_, err = f.PutOwner(f.t.Context(), dormouse.Owner{Name: "ann"}, dormouse.By("ann"))
		f.must(err)
		_, err = f.Create(f.t.Context(), dormouse.NewWorkspace{ID: w.ID, Template: f.template.ID, Owner: "ann", Name: "api"}, dormouse.By("ann"))
		f.must(err)
		f.wait(time.Minute)
		if len(f.audit) != before {
			t.Errorf("events %+v", f.audit[before:])
		}
	})
	bubble(t, func(c *dormouse.Config) { c.Audit = nil }, func(f *fixture) {
		f.create("api")
		if left, err := f.store.Backlog(f.t.Context(), time.Now()); err != nil || left.Events != 0 {
			t.Errorf("%d events wait for nobody, %v", left.Events, err)
		}
	})
}

// The event of a changed template, owner or hold says what was changed.
func TestEventsSayWhatWasChanged(t *testing.T) {
	until := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	old := lifecycle.Template{ID: named(1), Name: "go", ActiveVersionID: named(2), Revision: 3, Policy: policy}
	next := old
	next.Name, next.ActiveVersionID, next.Hold = "go-dev", named(3), lifecycle.Hold{Until: until, By: "ann", Note: "holidays"}
	next.Policy.DefaultTTL++
	suspended := lifecycle.Owner{ID: named(4), Name: "ann", Status: lifecycle.OwnerSuspended, QuietHours: quiet(t)}
	for _, c := range []struct {
		e    lifecycle.Event
		want string
	}{
		{old.ChangedEvent(&lifecycle.Template{}, until), "new: go"},
		{next.ChangedEvent(&old, until), "name: go-dev; version: " + named(3).String() +
			"; policy; hold until 2026-03-09T08:00:00Z: all, by ann: holidays"},
		{old.ChangedEvent(&next, until), "name: go; version: " + named(2).String() + "; policy; hold ended"},
		{suspended.ChangedEvent(&lifecycle.Owner{}, until), "new: ann"},
		{
			suspended.ChangedEvent(&lifecycle.Owner{ID: named(4), Name: "anna"}, until),
			`name: ann; status: suspended; quiet hours: "CRON_TZ=Europe/Berlin 0 3 * * *"`,
		},
		{
			(&lifecycle.Engine{DeletionsReleasedUntil: until}).ChangedEvent(&lifecycle.Engine{}, until),
			"brake on deletions released until 2026-03-09T08:00:00Z",
		},
	} {
		if c.e.Message != c.want {
			t.Errorf("%s says %q, want %q", c.e.Kind, c.e.Message, c.want)
		}
	}
}

func quiet(t *testing.T) *schedule.Cron {
	t.Helper()
	c, err := schedule.Daily("CRON_TZ=Europe/Berlin 0 3 * * *")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// named is an id for tests.
func named(n byte) uuid.UUID { return uuid.UUID{15: n} }
