package acquirer_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// In the view of an organization there are no jobs of others.
func TestViewOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		running := f.hand(a)
		pending := f.enqueue(a, f.posting(nil))[0]
		mine, theirs := a.Within(f.org), a.Within(uuid.New())
		for _, job := range []queue.Job{running, pending} {
			before := f.stored(job.ID)
			if _, err := theirs.Job(f.ctx, job.ID); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("the job: %v", err)
			}
			if _, err := theirs.Lines(f.ctx, job.ID, 0, 1); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("its lines: %v", err)
			}
			if _, err := theirs.Explain(f.ctx, job.ID); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("why: %v", err)
			}
			if changed, err := theirs.Cancel(f.ctx, "forged", job.ID); err != nil || len(changed) != 0 {
				t.Errorf("a cancellation: %v, %v", changed, err)
			}
			if after := f.stored(job.ID); !reflect.DeepEqual(before, after) {
				t.Errorf("before %+v\nafter  %+v", before, after)
			}
			if got, err := mine.Job(f.ctx, job.ID); err != nil || got.ID != job.ID {
				t.Errorf("its own: %v", err)
			}
			if _, err := mine.Explain(f.ctx, job.ID); err != nil {
				t.Errorf("why, of its own: %v", err)
			}
			if changed, err := mine.Cancel(f.ctx, "enough", job.ID); err != nil || len(changed) != 1 {
				t.Errorf("a cancellation of its own: %v, %v", changed, err)
			}
		}
	})
}

// A tenant learns what of its own wishes nobody fulfills, and nothing about other people's workers; the operator learns all.
func TestExplanationForTheTenant(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		secrets := map[string]string{"scope": "user", "owner": "ceo@victim.example", "vpn": "merger-with-acme"}
		f.join(a, f.request(secrets))
		f.join(a, f.request(map[string]string{"zone": "secret-site"}))
		f.join(a, f.request(map[string]string{"zone": "secret-site"}, "secret-type"))
		want := map[string]string{"scope": "user", "owner": "mallory", "vpn": "merger-with-acme", "zone": "eu"}
		job := f.enqueue(a, f.posting(want))[0]
		x, err := a.Within(f.org).Explain(f.ctx, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		x.Job = queue.Job{}
		text, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"ceo", "victim", "secret"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the tenant reads %q in %s", secret, text)
			}
		}
		for _, own := range []string{"of 2 workers", "1 runs jobs of other types", "1 lacks vpn=merger-with-acme", "1 lacks zone=eu", "1 lacks owner=mallory"} {
			if !strings.Contains(x.Text, own) {
				t.Errorf("%q does not say %q", x.Text, own)
			}
		}
		if operator, err := a.Explain(f.ctx, job.ID); err != nil || operator.Nearest == nil || !strings.Contains(operator.Text, "ceo") {
			t.Errorf("the operator reads %q, %v", operator.Text, err)
		}
	})
}

// What a view lists, counts, tells of attempts and tries again is the organization's own.
func TestViewOperates(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var asked []uuid.UUID
		a := f.start(func(c *acquirer.Config) {
			c.Retry = func(_ context.Context, j queue.Job) error {
				asked = append(asked, j.ID)
				return nil
			}
		})
		failed := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: failed.Handout(), Outcome: queue.OutcomeFailed, Error: "why"}); err != nil {
			t.Fatal(err)
		}
		mine, theirs := a.Within(f.org), a.Within(uuid.New())
		forged := queue.JobQuery{Organization: f.org}
		if page, err := theirs.List(f.ctx, forged); err != nil || len(page.Jobs) != 0 {
			t.Errorf("a list: %+v, %v", page, err)
		}
		if counts, err := theirs.Count(f.ctx, forged); err != nil || len(counts.States) != 0 {
			t.Errorf("counted: %+v, %v", counts, err)
		}
		if _, err := theirs.Attempts(f.ctx, failed.ID); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("its attempts: %v", err)
		}
		before := f.stored(failed.ID)
		if changed, err := theirs.Retry(f.ctx, "eve", "", failed.ID); err != nil || len(changed) != 0 || len(asked) != 0 {
			t.Errorf("tried again: %v, %v; the host was asked about %v", changed, err, asked)
		}
		if after := f.stored(failed.ID); !reflect.DeepEqual(before, after) {
			t.Errorf("before %+v\nafter  %+v", before, after)
		}
		if page, err := mine.List(f.ctx, queue.JobQuery{}); err != nil || len(page.Jobs) != 1 {
			t.Errorf("a list of its own: %+v, %v", page, err)
		}
		if counts, err := mine.Count(f.ctx, queue.JobQuery{}); err != nil || counts.States[queue.Failed] != 1 {
			t.Errorf("its own, counted: %+v, %v", counts, err)
		}
		if attempts, err := mine.Attempts(f.ctx, failed.ID); err != nil || len(attempts) != 1 || attempts[0].Error != "why" {
			t.Errorf("its own attempts: %+v, %v", attempts, err)
		}
		if changed, err := mine.Retry(f.ctx, "ann", "", failed.ID); err != nil || len(changed) != 1 || len(asked) != 1 {
			t.Errorf("its own, tried again: %v, %v", changed, err)
		}
	})
}

// Who paused jobs and why is quoted, so that it cannot pass for the rest of the explanation.
func TestPauseIsQuoted(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.enqueue(a, f.posting(nil))[0]
		p := queue.Pause{Scope: queue.Scope{Organization: f.org}, By: "ann: all is well", Note: `the disk. It succeeded." Or`}
		if err := a.Pause(f.ctx, p); err != nil {
			t.Fatal(err)
		}
		x, err := a.Within(f.org).Explain(f.ctx, job.ID)
		if want := `by "ann: all is well": "the disk. It succeeded.\" Or".`; err != nil || !strings.HasSuffix(x.Text, want) {
			t.Errorf("%s, %v; want the end %s", x.Text, err, want)
		}
	})
}

// An organization sees that its jobs are paused, and until when; who did so and why is for those alone whose pause it is.
func TestPausesOfEverybodyAreNamedToNobody(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		for _, scope := range []queue.Scope{{}, {Type: "build"}, {Organization: f.org}} {
			job := f.enqueue(a, f.posting(nil))[0]
			if err := a.Pause(f.ctx, queue.Pause{Scope: scope, By: "root", Note: "the move", Until: until}); err != nil {
				t.Fatal(err)
			}
			own := scope.Organization == f.org
			see := func(view acquirer.View, p *queue.Pause, text string) {
				t.Helper()
				named := view == a.Within(scope.Organization)
				if p == nil || p.Scope != scope || !p.Until.Equal(until) || p.At.IsZero() || named != (p.By == "root") || named != (p.Note == "the move") {
					t.Errorf("of %+v, seen by %v: %+v", scope, view, p)
				}
				if text != "" && (named != strings.Contains(text, "root") || named != strings.Contains(text, "the move") || !strings.Contains(text, "until")) {
					t.Errorf("of %+v: %s", scope, text)
				}
			}
			x, err := a.Within(f.org).Explain(f.ctx, job.ID)
			if err != nil {
				t.Fatal(err)
			}
			see(a.Within(f.org), x.Pause, x.Text)
			for _, org := range []uuid.UUID{f.org, uuid.New(), uuid.Nil} {
				view := a.Within(org)
				switch list, err := view.Pauses(f.ctx); {
				case err != nil || len(list) > 1:
					t.Errorf("seen by %s: %+v, %v", org, list, err)
				case len(list) == 1:
					see(view, &list[0], "")
				case !own || org == f.org:
					t.Errorf("%s does not see the pause of %+v", org, scope)
				}
			}
			if x, err := a.Explain(f.ctx, job.ID); err != nil || x.Pause.By != "root" || !strings.Contains(x.Text, "the move") {
				t.Errorf("the operator reads %s, %v", x.Text, err)
			}
			if _, err := a.Resume(f.ctx, scope); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A posting that meets another tenant's job is refused by what they have in common.
func TestPostingsOfAnotherTenant(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		p := f.posting(nil)
		p.ID, p.Tenant, p.Unique, p.Payload = uuid.New(), uuid.New(), "nightly", []byte("secret")
		f.enqueue(a, p)
		for field, forged := range map[string]queue.Posting{
			"Posting.ID":     {ID: p.ID, Organization: p.Organization, Tenant: uuid.New(), Type: p.Type},
			"Posting.Unique": {Organization: p.Organization, Tenant: uuid.New(), Type: p.Type, Unique: p.Unique},
		} {
			var e *invalid.Error
			if jobs, err := a.Enqueue(f.ctx, forged); !errors.As(err, &e) || e.Field != field || jobs != nil {
				t.Errorf("%s: %+v, %v", field, jobs, err)
			}
		}
	})
}

// What nobody can run has nobody to compete with: its explanation counts no lanes, of which a tenant may have any number.
func TestExplainWithoutWorkersCountsNothing(t *testing.T) {
	bubble(t, func(f *fleet) {
		a := f.start()
		jobs := f.enqueue(a, f.posting(nil), f.posting(nil))
		x, err := a.Explain(f.ctx, jobs[1].ID)
		if err != nil || x.Ahead != 0 || f.store.Calls(acquirertest.Ahead) != 0 {
			t.Errorf("%d ahead after %d questions: %v", x.Ahead, f.store.Calls(acquirertest.Ahead), err)
		}
		f.joinPlain(a) // takes the first
		f.joinPlain(a)
		f.settle()
		jobs = f.enqueue(a, f.posting(nil), f.posting(nil))
		last := slices.MaxFunc(jobs, func(a, b queue.Job) int { // of two tenants with the same turn the id decides
			if a.Before(b) {
				return -1
			}
			return 1
		})
		x, err = a.Explain(f.ctx, last.ID)
		if err != nil || len(x.Able) == 0 || x.Ahead != 1 {
			t.Errorf("%d ahead with %d able processes: %v", x.Ahead, len(x.Able), err)
		}
	})
}
