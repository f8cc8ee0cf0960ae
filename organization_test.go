package dormouse_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
	"github.com/dormouse-go/dormouse/store"
)

// Of what another organization has, a plane knows nothing: each verb answers the id of somebody else's workspace, template or build as
// it answers one that nobody has, word for word but for the id, and changes nothing.
func TestOtherOrganizations(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Organization = uuid.New() }, func(f *fixture) {
		ctx, w := f.t.Context(), f.create("api")
		_, err := f.Start(ctx, w.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		before := f.want(w.ID, lifecycle.StatusRunning, 1)
		records, err := f.Builds(ctx, w.ID, 0, 1)
		f.must(err)
		build := records[0].ID

		other, err := dormouse.New(f.store, dormouse.Config{
			Organization: uuid.New(), Build: f.build, Logger: slog.New(slog.DiscardHandler),
		})
		f.must(err)
		looks, err := dormouse.New(f.store, dormouse.Config{Organization: uuid.New(), Shadow: &shadow.Config{}, Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		plan, err := f.Plan(ctx, f.template.ID, dormouse.PolicyChange{Policy: policy})
		f.must(err)
		adopted := uuid.New()
		workspace := func(do func(ctx context.Context, id uuid.UUID) (any, error)) func(uuid.UUID) (any, error) {
			return func(id uuid.UUID) (any, error) { return do(ctx, id) }
		}
		cases := map[string]struct {
			id uuid.UUID
			do func(id uuid.UUID) (any, error)
		}{
			"Get":     {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Get(ctx, id) })},
			"Start":   {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Start(ctx, id) })},
			"Restart": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Restart(ctx, id) })},
			"Stop":    {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Stop(ctx, id) })},
			"Delete":  {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Delete(ctx, id) })},
			"Cancel":  {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Cancel(ctx, id) })},
			"Wake":    {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Wake(ctx, id) })},
			"Explain": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Explain(ctx, id) })},
			"Extend": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Extend(ctx, id, time.Now().Add(9*time.Hour))
			})},
			"SetTTL": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.SetTTL(ctx, id, time.Hour) })},
			"SetSchedule": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.SetSchedule(ctx, id, dormouse.Schedule{})
			})},
			"Hold": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Hold(ctx, id, dormouse.Hold{Until: time.Now().Add(time.Hour)})
			})},
			"Builds":   {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Builds(ctx, id, 0, 9) })},
			"Log":      {build, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Log(ctx, id, 0, 9) })},
			"Template": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Template(ctx, id) })},
			"Plan": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Plan(ctx, id, dormouse.PolicyChange{Policy: policy})
			})},
			"HoldTemplate": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return nil, other.HoldTemplate(ctx, id, dormouse.Hold{Until: time.Now().Add(time.Hour)})
			})},
			"Create": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Create(ctx, dormouse.NewWorkspace{Template: id, Owner: "eve", Name: "x"})
			})},
			"Update": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Update(ctx, id, lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil))
			})},
			"Observe": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Observe(ctx, id, dormouse.Observation{Deleted: true})
			})},
			"Adopt": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Adopt(ctx, dormouse.Adopted{Workspace: dormouse.NewWorkspace{ID: adopted, Template: id, Owner: "eve", Name: "x"}})
			})},
			"Upcoming": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Upcoming(ctx, id, 9) })},
			"Calendar": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Calendar(ctx, id, 9) })},
			"PresetOf": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.PresetOf(ctx, id) })},
			"Apply": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				forged := plan
				forged.Change.Template.ID = id
				return other.Apply(ctx, forged, nil)
			})},
			"ComparePlan": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				forged := plan
				forged.Change.Template.ID = id
				return other.ComparePlan(ctx, forged, time.Time{}, forecast.PlanConfig{})
			})},
			"Acted": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return looks.Acted(ctx, id, lifecycle.TransitionDelete, time.Now())
			})},
		}
		for name, c := range cases {
			theirs, theirErr := c.do(c.id)
			unknown := uuid.New()
			none, noneErr := c.do(unknown)
			if got, want := problem(c.id, theirs, theirErr), problem(unknown, none, noneErr); got != want {
				t.Errorf("%s: of somebody else %s\n\tof nobody %s", name, got, want)
			}
			if name != "Log" && name != "PresetOf" && theirErr == nil {
				t.Errorf("%s of somebody else's was carried out", name)
			}
		}
		if got, err := other.PutTemplate(ctx, dormouse.Template{ID: f.template.ID, Name: "mine", Policy: policy}); err == nil {
			t.Errorf("somebody else's template was put: %+v", got)
		}
		own, err := other.PutTemplate(ctx, dormouse.Template{Name: "own", Policy: policy})
		f.must(err)
		if got, err := other.Create(ctx, dormouse.NewWorkspace{ID: w.ID, Template: own.ID, Owner: "eve", Name: "api"}); err == nil || got.ID != uuid.Nil {
			t.Errorf("somebody else's workspace was made again: %+v", got)
		}
		if list, err := other.List(ctx, dormouse.ListQuery{}); err != nil || len(list) != 0 {
			t.Errorf("a list of nothing: %v, %v", list, err)
		}
		for name, count := range map[string]func() (int, error){
			"List": func() (int, error) {
				list, err := other.List(ctx, dormouse.ListQuery{Template: f.template.ID, Owner: "ann"})
				return len(list), err
			},
			"Count": func() (int, error) {
				counts, err := other.Count(ctx, dormouse.CountQuery{Template: f.template.ID})
				return len(counts), err
			},
			"Templates": func() (int, error) {
				list, err := other.Templates(ctx, uuid.Nil, 0)
				return len(list) - 1, err // its own
			},
			"FleetBuilds": func() (int, error) {
				list, err := other.FleetBuilds(ctx, dormouse.BuildQuery{}.Following(records[0]))
				return len(list), err
			},
		} {
			if n, err := count(); err != nil || n != 0 {
				t.Errorf("%s: %d of another organization, %v", name, n, err)
			}
		}
		if list, err := f.List(ctx, dormouse.ListQuery{}); err != nil || len(list) != 1 {
			t.Errorf("a list of its own: %v, %v", list, err)
		}
		if after, err := f.Get(ctx, w.ID); err != nil || after.Revision != before.Revision {
			t.Errorf("revision %d, then %d, %v", before.Revision, after.Revision, err)
		}
	})
}

// within is a store of which a transaction is the store itself.
type within struct{ store.Store }

func (within) Committed() {}

// So it is within a transaction.
func TestOtherOrganizationsWithinATransaction(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Organization = uuid.New() }, func(f *fixture) {
		ctx, w := f.t.Context(), f.create("api")
		f.wait(2 * time.Minute)
		w, err := f.Get(ctx, w.ID)
		f.must(err)
		other, err := dormouse.New(f.store, dormouse.Config{Organization: uuid.New(), Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		tx, err := other.WithTx(within{f.store})
		f.must(err)
		cases := map[string]func(id uuid.UUID) (dormouse.Workspace, error){
			"Get":     func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Get(ctx, id) },
			"Start":   func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Start(ctx, id) },
			"Restart": func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Restart(ctx, id) },
			"Stop":    func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Stop(ctx, id) },
			"Delete":  func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Delete(ctx, id) },
			"Wake":    func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Wake(ctx, id) },
			"SetTTL":  func(id uuid.UUID) (dormouse.Workspace, error) { return tx.SetTTL(ctx, id, time.Hour) },
			"Extend":  func(id uuid.UUID) (dormouse.Workspace, error) { return tx.Extend(ctx, id, time.Now().Add(9*time.Hour)) },
			"SetSchedule": func(id uuid.UUID) (dormouse.Workspace, error) {
				return tx.SetSchedule(ctx, id, dormouse.Schedule{})
			},
			"Hold": func(id uuid.UUID) (dormouse.Workspace, error) {
				return tx.Hold(ctx, id, dormouse.Hold{Until: time.Now().Add(time.Hour)})
			},
			"Update": func(id uuid.UUID) (dormouse.Workspace, error) {
				return tx.Update(ctx, id, lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil))
			},
		}
		for name, do := range cases {
			theirs, theirErr := do(w.ID)
			unknown := uuid.New()
			none, noneErr := do(unknown)
			if got, want := problem(w.ID, theirs, theirErr), problem(unknown, none, noneErr); got != want || theirErr == nil {
				t.Errorf("%s: of somebody else %s\n\tof nobody %s", name, got, want)
			}
		}
		if got, err := tx.Create(ctx, dormouse.NewWorkspace{Template: f.template.ID, Owner: "eve", Name: "x"}); err == nil {
			t.Errorf("a workspace was made of somebody else's template: %+v", got)
		}
		if got, err := tx.PutTemplate(ctx, dormouse.Template{ID: f.template.ID, Name: "mine", Policy: policy}); err == nil {
			t.Errorf("somebody else's template was put: %+v", got)
		}
		if after, err := f.Get(ctx, w.ID); err != nil || after.Revision != w.Revision {
			t.Errorf("revision %d, then %d, %v", w.Revision, after.Revision, err)
		}
	})
}

// problem is what a host would answer, but for the id.
func problem(id uuid.UUID, answer any, err error) string {
	if err != nil {
		answer = dormouse.ProblemOf(err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), id.String(), "ID")
}
