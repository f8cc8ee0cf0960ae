package acquirer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// What is paused in one process waits in all, says why, and goes on at once when it is resumed in another.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]func(f *fleet) queue.Scope{
		"organization":      func(f *fleet) queue.Scope { return queue.Scope{Organization: f.org} },
		"type":              func(*fleet) queue.Scope { return queue.Scope{Type: "build"} },
		"everything":        func(*fleet) queue.Scope { return queue.Scope{} },
		"organization type": func(f *fleet) queue.Scope { return queue.Scope{Organization: f.org, Type: "build"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, b := f.start(), f.start()
				running := f.hand(a)
				pause := queue.Pause{Scope: scope(f), By: "ann", Note: "the disk is full"}
				if err := a.Pause(f.ctx, pause); err != nil {
					t.Fatal(err)
				}
				w := f.join(b, f.request(nil))
				job := f.enqueue(a, f.posting(nil))[0]
				f.pass(2 * time.Minute) // some backups
				if w.got() {
					t.Fatal("a paused job was handed out")
				}
				x, err := b.Explain(f.ctx, job.ID)
				if err != nil || x.Pause == nil || !strings.Contains(x.Text, "paused since") || !strings.Contains(x.Text, "by ann") || !strings.Contains(x.Text, "the disk is full") {
					t.Errorf("explained as %q, %v", x.Text, err)
				}
				if got := f.happened(queue.EventUnmatched); len(got) != 0 {
					t.Errorf("a paused job is called unmatched: %+v", got)
				}
				if _, err := a.End(f.ctx, queue.End{Handout: running.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
					t.Errorf("an end while it is paused: %v", err)
				}
				if pauses, err := b.Pauses(f.ctx); err != nil || len(pauses) != 1 || pauses[0].By != "ann" {
					t.Errorf("pauses %+v, %v", pauses, err)
				}
				if was, err := a.Resume(f.ctx, pause.Scope); err != nil || !was {
					t.Errorf("resumed: %v, %v", was, err)
				}
				f.settle()
				if got := f.mustGet(w, "resumed"); got.ID != job.ID {
					t.Errorf("got another job")
				}
				if was, err := a.Resume(f.ctx, pause.Scope); err != nil || was {
					t.Errorf("resumed again: %v, %v", was, err)
				}
			})
		})
	}
}

// A pause ends by itself, in the process that began it and in those that know of it from looking only.
func TestPauseEndsByItself(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		b := f.start()
		err := a.Pause(f.ctx, queue.Pause{Scope: queue.Scope{Type: "build"}, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		f.enqueue(a, f.posting(nil))
		x, y := f.join(a, f.request(nil)), f.join(b, f.request(nil))
		f.pass(time.Hour - time.Second)
		if x.got() || y.got() {
			t.Fatal("handed out before its end")
		}
		f.pass(2 * time.Second)
		if !x.got() && !y.got() {
			t.Error("not handed out after its end")
		}
		if err := a.Pause(f.ctx, queue.Pause{Scope: queue.Scope{Organization: f.org}, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		stop()
		z := f.join(b, f.request(nil))
		f.enqueue(b, f.posting(nil))
		f.pass(time.Hour + time.Second)
		if !z.got() && !y.got() {
			t.Error("the process that began the pause is gone, and nobody noticed its end")
		}
	})
}

func TestPauseIsChecked(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		var refused *invalid.Error
		if err := a.Pause(f.ctx, queue.Pause{Scope: queue.Scope{Type: "a\x00"}}); !errors.As(err, &refused) || !strings.HasPrefix(refused.Field, "Pause.") {
			t.Errorf("error %v", err)
		}
		f.store.Once(acquirertest.Operate, acquirertest.Fault{Down: true})
		if err := a.Pause(f.ctx, queue.Pause{Scope: queue.Scope{Type: "x"}}); !errors.Is(err, acquirertest.ErrDown) {
			t.Errorf("error %v", err)
		}
	})
}

// A job that is over is retried by hand: at once, in a new round, by whoever waits in any process; and the history says so.
func TestRetryByHand(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		job := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeFailed, Error: "no disk"}); err != nil {
			t.Fatal(err)
		}
		w := f.join(b, f.request(nil))
		f.settle()
		changed, err := a.Retry(f.ctx, "ann", "there is one now", job.ID, job.ID, uuid.New())
		if err != nil || len(changed) != 1 || changed[0].Round != 1 {
			t.Fatalf("%+v, %v", changed, err)
		}
		f.settle()
		again := f.mustGet(w, "retried")
		if again.ID != job.ID || again.Attempt != 1 || again.Round != 1 {
			t.Errorf("got %+v", again)
		}
		attempts, err := b.Attempts(f.ctx, job.ID)
		if err != nil || len(attempts) != 2 || attempts[0].Error != "no disk" || attempts[1].By != "ann" {
			t.Errorf("%+v, %v", attempts, err)
		}
		if changed, err := a.Retry(f.ctx, "", "", job.ID); err != nil || len(changed) != 0 {
			t.Errorf("a running job was retried: %+v, %v", changed, err)
		}
	})
}

// A retry whose answer was lost is repeated, and what it has put back is handed out at once.
func TestRetryWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start(func(c *acquirer.Config) {
			c.Retry = func(_ context.Context, job queue.Job) error {
				if !job.State.Final() {
					t.Errorf("asked about a job that is %v", job.State)
				}
				return nil
			}
		})
		job := f.hand(a)
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeFailed}); err != nil {
			t.Fatal(err)
		}
		w := f.join(a, f.request(nil))
		f.settle()
		f.store.Once(acquirertest.Operate, acquirertest.Fault{Lost: true})
		if _, err := b.Retry(f.ctx, "ann", "", job.ID); !errors.Is(err, acquirertest.ErrLost) {
			t.Fatal(err)
		}
		if changed, err := b.Retry(f.ctx, "ann", "", job.ID); err != nil || len(changed) != 0 {
			t.Errorf("changed %+v, %v", changed, err)
		}
		f.settle()
		if again := f.mustGet(w, "retried"); again.ID != job.ID || again.Round != 1 {
			t.Errorf("got %+v", again)
		}
	})
}

// The host may refuse a retry; then none of the call happens.
func TestRetryRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		no := errors.New("its build is over")
		var refuse uuid.UUID
		a := f.start(func(c *acquirer.Config) {
			c.Retry = func(_ context.Context, job queue.Job) error {
				if job.ID == refuse {
					return no
				}
				return nil
			}
		})
		first, second := f.hand(a), f.hand(a)
		refuse = second.ID
		for _, job := range []queue.Job{first, second} {
			if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeFailed}); err != nil {
				t.Fatal(err)
			}
		}
		if changed, err := a.Retry(f.ctx, "", "", first.ID, second.ID); !errors.Is(err, no) || len(changed) != 0 {
			t.Errorf("%+v, %v", changed, err)
		}
		if changed, err := a.Retry(f.ctx, "", "", first.ID); err != nil || len(changed) != 1 {
			t.Errorf("%+v, %v", changed, err)
		}
	})
}

// The answer to an enqueue says which postings made no job, and only the others are counted.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		registry := prometheus.NewPedanticRegistry()
		a := f.start(func(c *acquirer.Config) { c.Registerer, c.Types = registry, []string{"build"} })
		p := f.posting(nil)
		p.Unique = "nightly"
		first := f.enqueue(a, p)[0]
		p.ID = uuid.New()
		second := f.enqueue(a, p)[0]
		if first.Duplicate || !second.Duplicate || second.ID != first.ID {
			t.Errorf("%v, then %v of %s and %s", first.Duplicate, second.Duplicate, first.ID, second.ID)
		}
		if n := a.Stats().Lanes; n > 1 {
			t.Errorf("%d lanes", n)
		}
		want := `
# HELP dormouse_jobs_enqueued_total Jobs enqueued through this process.
# TYPE dormouse_jobs_enqueued_total counter
dormouse_jobs_enqueued_total{instance="acquirer",kind="build"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "dormouse_jobs_enqueued_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestListAndCount(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.enqueue(a, f.posting(nil), f.posting(map[string]string{"x": "y"}))
		f.hand(a)
		page, err := a.List(f.ctx, queue.JobQuery{Organization: f.org, Tag: queue.Tag{Key: "x", Value: "y"}})
		if err != nil || len(page.Jobs) != 1 || !page.Next.IsZero() {
			t.Errorf("%+v, %v", page, err)
		}
		counts, err := a.Count(f.ctx, queue.JobQuery{Organization: f.org})
		if err != nil || counts.States[queue.Pending] != 2 || counts.States[queue.Running] != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
		if page, err := a.List(f.ctx, queue.JobQuery{}); err != nil || len(page.Jobs) != 0 {
			t.Errorf("jobs of the organization of hosts that have only one: %+v, %v", page, err)
		}
		var refused *invalid.Error
		if _, err := a.List(f.ctx, queue.JobQuery{Limit: -1}); !errors.As(err, &refused) {
			t.Errorf("error %v", err)
		}
		if _, err := a.Count(f.ctx, queue.JobQuery{Limit: -1}); !errors.As(err, &refused) {
			t.Errorf("error %v", err)
		}
	})
}
