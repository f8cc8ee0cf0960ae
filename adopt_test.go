package dormouse_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
)

// old is a workspace of a fleet that another scheduler has made.
func (f *fixture) old(name string, running bool, since time.Duration) dormouse.Adopted {
	return dormouse.Adopted{
		Workspace: dormouse.NewWorkspace{ID: uuid.NewSHA1(uuid.Nil, []byte(name)), Template: f.template.ID, Owner: "ann", Name: name},
		Seen:      dormouse.Observation{Running: running, Since: time.Now().Add(-since)},
	}
}

func (f *fixture) adopt(a dormouse.Adopted) dormouse.Workspace {
	f.t.Helper()
	w, err := f.Adopt(f.t.Context(), a, dormouse.By("import"))
	f.must(err)
	return w
}

func TestAdopt(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		f.wait(time.Hour)
		young, overdue, still := f.old("young", true, time.Hour), f.old("overdue", true, 300*time.Hour), f.old("still", false, 300*time.Hour)
		for range 2 { // an import that is repeated
			for _, a := range []dormouse.Adopted{young, overdue, still} {
				f.adopt(a)
			}
		}
		f.want(young.Workspace.ID, lifecycle.StatusRunning, 1)
		f.want(still.Workspace.ID, lifecycle.StatusStopped, 1)
		f.wait(119 * time.Minute)
		f.want(overdue.Workspace.ID, lifecycle.StatusRunning, 1)
		f.wait(3 * time.Minute)
		f.want(overdue.Workspace.ID, lifecycle.StatusStopped, 2)
		f.want(young.Workspace.ID, lifecycle.StatusRunning, 1)
		f.wait(6 * time.Hour)
		f.want(young.Workspace.ID, lifecycle.StatusStopped, 2)
		if len(f.builds) != 2 {
			t.Errorf("builds %q, want the two stops: nothing is built for an import", f.builds)
		}
		builds, err := f.Builds(f.t.Context(), young.Workspace.ID, 0, 0)
		f.must(err)
		if len(builds) != 2 || builds[1].Reason != lifecycle.ReasonObserved || builds[1].Status != lifecycle.JobSucceeded {
			t.Errorf("builds %+v", builds)
		}
	})
}

// A process that ended by itself is told of, twice and late, and what follows is the policy's.
func TestProcessIsGone(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.SetSchedule(f.t.Context(), w.ID, dormouse.Schedule{Autostart: "0 9 * * *"})
		f.must(err)
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		running := f.want(w.ID, lifecycle.StatusRunning, 1)
		gone := dormouse.Observation{Since: time.Now(), BuildID: running.BuildID}
		for range 2 {
			_, err = f.Observe(f.t.Context(), w.ID, gone, dormouse.By("agent"))
			f.must(err)
		}
		f.want(w.ID, lifecycle.StatusStopped, 2)
		f.wait(34 * time.Hour)
		f.want(w.ID, lifecycle.StatusRunning, 5) // started at nine, stopped after eight hours, and started again
		_, err = f.Observe(f.t.Context(), w.ID, gone)
		f.must(err)
		f.want(w.ID, lifecycle.StatusRunning, 5)
		var seen []string
		for _, e := range f.audit {
			if e.Kind == lifecycle.EventObserved {
				seen = append(seen, e.Actor)
			}
		}
		if want := []string{"agent"}; !slices.Equal(seen, want) {
			t.Errorf("observations of %q, want one, of %q", seen, want)
		}
	})
}

func TestAdoptRefuses(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		a := f.old("api", true, time.Hour)
		for field, change := range map[string]func(*dormouse.Adopted){
			"Adopted.Workspace.ID":        func(a *dormouse.Adopted) { a.Workspace.ID = uuid.Nil },
			"Adopted.LastUsedAt":          func(a *dormouse.Adopted) { a.LastUsedAt = time.Now().Add(time.Hour) },
			"Adopted.NewWorkspace.Name":   func(a *dormouse.Adopted) { a.Workspace.Name = "" },
			"Adopted.Observation.Since":   func(a *dormouse.Adopted) { a.Seen.Since = time.Now().Add(time.Hour) },
			"Adopted.Observation.Deleted": func(a *dormouse.Adopted) { a.Seen.Deleted = true },
		} {
			bad := a
			change(&bad)
			_, err := f.Adopt(f.t.Context(), bad)
			if err == nil || !strings.Contains(err.Error(), field+" ") {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

// A plane beside another scheduler does nothing, and says how the two differ.
func TestShadow(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Shadow = &shadow.Config{} }, func(f *fixture) {
		ctx := f.t.Context()
		same, late, alone := f.adopt(f.old("same", true, 0)), f.adopt(f.old("late", true, 0)), f.adopt(f.old("alone", true, 0))
		f.wait(8*time.Hour + 3*time.Minute)
		_, err := f.Acted(ctx, same.ID, lifecycle.TransitionStop, time.Now())
		f.must(err)
		_, err = f.Acted(ctx, same.ID, lifecycle.TransitionStop, time.Now()) // told twice
		f.must(err)
		f.wait(2 * time.Hour)
		_, err = f.Acted(ctx, late.ID, lifecycle.TransitionStop, time.Now())
		f.must(err)
		f.wait(time.Hour)
		report, err := f.ShadowReport()
		f.must(err)
		if got := report.Stop; got != (shadow.Count{Same: 1, Sooner: 1, OnlyRules: 1}) || report.Workspaces != 3 {
			t.Errorf("report %+v", report)
		}
		if text := report.Text(); !strings.Contains(text, "late") || !strings.Contains(text, "alone") {
			t.Errorf("text:\n%s", text)
		}
		if text, err := json.Marshal(report); err != nil || !strings.Contains(string(text), `"only_rules":1`) {
			t.Errorf("JSON %s, %v", text, err)
		}
		f.want(same.ID, lifecycle.StatusStopped, 2)
		f.want(alone.ID, lifecycle.StatusRunning, 1)
		if len(f.builds)+len(f.notices)+len(f.audit) > 0 {
			t.Errorf("it built %q, told %v and wrote %v", f.builds, f.notices, f.audit)
		}
		_, err = f.Start(ctx, same.ID)
		f.is(err, dormouse.ErrShadow)
		_, err = f.Acted(ctx, alone.ID, lifecycle.TransitionDelete, time.Now())
		f.must(err)
		f.want(alone.ID, lifecycle.StatusDeleted, 2)
		_, err = f.Acted(ctx, same.ID, lifecycle.TransitionNone, time.Now())
		f.must(err)
		f.want(same.ID, lifecycle.StatusDormant, 2)
	})
}

// What only a plane in the shadow of another scheduler does.
func TestNoShadow(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		if _, err := f.ShadowReport(); err == nil {
			t.Error("a plane that acts has a report of its shadow")
		}
		if _, err := f.Acted(f.t.Context(), w.ID, lifecycle.TransitionStop, time.Now()); err == nil {
			t.Error("a plane that acts is told of another scheduler")
		}
		_, err := dormouse.New(f.store, dormouse.Config{Shadow: &shadow.Config{Tolerance: -1}})
		if err == nil || !strings.Contains(err.Error(), "Config.Shadow") {
			t.Errorf("%v", err)
		}
		synctest.Wait()
	})
}
