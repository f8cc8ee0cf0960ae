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
		workspace := func(do func(ctx context.Context, id uuid.UUID) (any, error)) func(uuid.UUID) (any, error) {
			return func(id uuid.UUID) (any, error) { return do(ctx, id) }
		}
		for name, c := range map[string]struct {
			id uuid.UUID
			do func(id uuid.UUID) (any, error)
		}{
			"get":     {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Get(ctx, id) })},
			"start":   {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Start(ctx, id) })},
			"restart": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Restart(ctx, id) })},
			"stop":    {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Stop(ctx, id) })},
			"delete":  {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Delete(ctx, id) })},
			"cancel":  {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Cancel(ctx, id) })},
			"wake":    {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Wake(ctx, id) })},
			"explain": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Explain(ctx, id) })},
			"extend": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Extend(ctx, id, time.Now().Add(9*time.Hour))
			})},
			"ttl": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.SetTTL(ctx, id, time.Hour) })},
			"schedule": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.SetSchedule(ctx, id, dormouse.Schedule{})
			})},
			"hold": {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Hold(ctx, id, dormouse.Hold{Until: time.Now().Add(time.Hour)})
			})},
			"builds":   {w.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Builds(ctx, id, 0, 9) })},
			"log":      {build, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Log(ctx, id, 0, 9) })},
			"template": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) { return other.Template(ctx, id) })},
			"plan": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Plan(ctx, id, dormouse.PolicyChange{Policy: policy})
			})},
			"hold of a template": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return nil, other.HoldTemplate(ctx, id, dormouse.Hold{Until: time.Now().Add(time.Hour)})
			})},
			"create": {f.template.ID, workspace(func(ctx context.Context, id uuid.UUID) (any, error) {
				return other.Create(ctx, dormouse.NewWorkspace{Template: id, Owner: "eve", Name: "x"})
			})},
		} {
			theirs, theirErr := c.do(c.id)
			unknown := uuid.New()
			none, noneErr := c.do(unknown)
			if got, want := problem(c.id, theirs, theirErr), problem(unknown, none, noneErr); got != want {
				t.Errorf("%s: of somebody else %s\n\tof nobody %s", name, got, want)
			}
			if name != "log" && theirErr == nil {
				t.Errorf("%s of somebody else's was carried out", name)
			}
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
