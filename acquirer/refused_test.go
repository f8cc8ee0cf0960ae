package acquirer_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// refuser is a store that does not write some jobs.
type refuser struct {
	queue.Store

	mu    sync.Mutex
	jobs  []uuid.UUID // that are refused
	again time.Duration
}

func (r *refuser) refuse(ids ...uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = ids
}

func (r *refuser) refusals(now time.Time) (refused []queue.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.jobs {
		refusal := queue.Refusal{Job: id, Why: "kept by\nthe host"}
		if r.again > 0 {
			refusal.Again = now.Add(r.again)
		}
		refused = append(refused, refusal)
	}
	return refused
}

func (r *refuser) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	refused := r.refusals(c.Now)
	claimed, err := r.Store.Claim(ctx, c)
	claimed.Jobs = slices.DeleteFunc(claimed.Jobs, func(j queue.Job) bool {
		kept := slices.ContainsFunc(refused, func(r queue.Refusal) bool { return r.Job == j.ID })
		if kept {
			_, err = r.Store.End(ctx, c.Now, []queue.End{{Handout: j.Handout(), Outcome: queue.OutcomeReleased, Process: c.Process}})
		}
		return kept
	})
	claimed.Refused = refused
	return claimed, err
}

func (r *refuser) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	listing, err := r.Store.Ready(ctx, now, q)
	listing.Refused = r.refusals(now)
	return listing, err
}

// Jobs that the database refuses to write are counted, and Explain says why they wait, to a tenant without the database's own words, until
// they start or nothing is heard of them any more.
func TestRefusedJobs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		again   time.Duration
		nobody  bool // waits for it: it is refused when it turns ready
		when    string
		forgets time.Duration
	}{
		"claimed":                 {when: "with the next claim.", forgets: 75 * time.Second},
		"claimed once a minute":   {again: time.Minute, when: "at 2000-01-01T00:0", forgets: 135 * time.Second},
		"turning ready":           {nobody: true, when: "with the next claim.", forgets: 75 * time.Second},
		"ready, once ten minutes": {again: 10 * time.Minute, nobody: true, when: "at 2000-01-01T00:1", forgets: 675 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				store := &refuser{Store: f.store, again: c.again}
				a, err := acquirer.New(store, f.bus, acquirer.Config{Events: f.event, StopTimeout: 100 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				f.runUntil(a)
				p := f.posting(nil)
				store.refuse(p.ID)
				var w *wait
				if !c.nobody {
					w = f.joinPlain(a)
				}
				f.enqueue(a, p)
				f.pass(time.Minute)
				if n := a.Stats().Refused; n != 1 {
					t.Errorf("%d jobs are counted, want 1", n)
				}
				if list := a.Refused(); len(list) != 1 || list[0].Job != p.ID || list[0].Why != "kept by the host" {
					t.Errorf("refused: %+v", list)
				}
				x, err := a.Explain(f.ctx, p.ID)
				if err != nil || x.Refused == nil || !strings.Contains(x.Text, `refuses to write it: "kept by the host". It is tried again `+c.when) {
					t.Errorf("%+v: %q, %v", x.Refused, x.Text, err)
				}
				x, err = a.Within(f.org).Explain(f.ctx, p.ID)
				if err != nil || x.Refused == nil || x.Refused.Why != "" || !strings.Contains(x.Text, "refuses to write it. It is tried again "+c.when) {
					t.Errorf("to the tenant: %+v: %q, %v", x.Refused, x.Text, err)
				}
				store.refuse()
				if w != nil {
					f.pass(time.Minute)
					f.mustGet(w, "once it is not refused any more")
				} else {
					f.pass(c.forgets)
				}
				if n, list := a.Stats().Refused, a.Refused(); n != 0 || len(list) != 0 {
					t.Errorf("%d jobs are counted afterwards; %+v", n, list)
				}
				if x, err = a.Explain(f.ctx, p.ID); err != nil || x.Refused != nil || strings.Contains(x.Text, "refuses") {
					t.Errorf("afterwards: %+v, %v", x, err)
				}
			})
		})
	}
}
