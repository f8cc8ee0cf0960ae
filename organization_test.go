package dormouse_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
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
		for m := range reflect.TypeOf(other).Methods() {
			if _, tried := cases[m.Name]; !tried && !idless[m.Name] {
				t.Errorf("%s is not tried with ids of another organization", m.Name)
			}
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
		if list, err := f.List(ctx, dormouse.ListQuery{}); err != nil || len(list) != 1 {
			t.Errorf("a list of its own: %v, %v", list, err)
		}
		if after, err := f.Get(ctx, w.ID); err != nil || after.Revision != before.Revision {
			t.Errorf("revision %d, then %d, %v", before.Revision, after.Revision, err)
		}
	})
}

// idless are the methods of a plane that take no id on behalf of somebody: what is the operator's, lists of the organization, and what
// names things that are made or changed by their names.
var idless = map[string]bool{
	"Acquirer": true, "Executor": true, "Machines": true, "Pool": true, "Migrate": true, "Run": true, "WithTx": true, "Remote": true,
	"HoldAll": true, "Owners": true, "Processes": true, "PutOwner": true, "PutTemplate": true, "Forget": true, "ShadowReport": true,
	"List": true, "Count": true, "Templates": true, "FleetBuilds": true, "Forecast": true, "Simulate": true,
	"Organization": true, "OwnerID": true, "TemplateID": true, "Claim": true,
	"Activity": true, // see docs/security.md
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
