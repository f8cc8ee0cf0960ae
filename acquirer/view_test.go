package acquirer_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
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
		for _, own := range []string{"of 2 workers", "1 run jobs of other types", "1 lack vpn=merger-with-acme", "1 lack zone=eu", "1 lack owner=mallory"} {
			if !strings.Contains(x.Text, own) {
				t.Errorf("%q does not say %q", x.Text, own)
			}
		}
		if operator, err := a.Explain(f.ctx, job.ID); err != nil || operator.Nearest == nil || !strings.Contains(operator.Text, "ceo") {
			t.Errorf("the operator reads %q, %v", operator.Text, err)
		}
	})
}
