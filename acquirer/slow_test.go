package acquirer_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// slowly lets a verb of the store be carried out at once and answered late.
func (f *fleet) slowly(verb acquirertest.Verb, by time.Duration) {
	f.store.Once(verb, acquirertest.Fault{After: func(context.Context) { time.Sleep(by) }}) // in a bubble
}

// A pause that is over before the store has answered: the store keeps the job as one that waits, and whoever looks at the
// clock when the answer comes takes it for one that is ready, claims in vain, and does not look again.
func TestPauseIsOverBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	const pause, slow = 50 * time.Millisecond, 200 * time.Millisecond
	post := func(f *fleet, notBefore time.Time) (begun time.Time) {
		a := f.start()
		w := f.joinPlain(a)
		f.pass(time.Second) // the look of the newcomer
		begun = time.Now()
		p := f.posting(nil)
		if p.NotBefore = notBefore; p.NotBefore.IsZero() {
			p.NotBefore = begun.Add(pause)
		}
		f.slowly(acquirertest.Enqueue, slow)
		f.enqueue(a, p)
		<-w.done
		f.mustGet(w, "after the pause")
		return begun
	}
	for name, wait := range map[string]func(*fleet) (begun time.Time){
		"posted":                 func(f *fleet) time.Time { return post(f, time.Time{}) },
		"posted for the past":    func(f *fleet) time.Time { return post(f, time.Now().Add(-time.Hour)) },
		"posted for the present": func(f *fleet) time.Time { return post(f, time.Now().Add(time.Second)) },
		"requeued": func(f *fleet) (begun time.Time) {
			a := f.start()
			job := f.hand(a)
			w := f.joinPlain(a)
			f.pass(time.Second)
			begun = time.Now()
			f.slowly(acquirertest.End, slow)
			if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeRequeued, Delay: pause, Error: "try later"}); err != nil {
				f.t.Fatal(err)
			}
			<-w.done
			f.mustGet(w, "after the pause")
			return begun
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				if took := time.Since(wait(f)); took > slow+100*time.Millisecond {
					t.Errorf("handed out after %v, the store answered after %v", took, slow)
				}
			})
		})
	}
}

// A heartbeat that is answered after its process was given up says nothing of the name that follows: nothing may be claimed
// under that before the store knows it.
func TestHeartbeatOfAnEarlierName(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Heartbeat, c.Lease = 300*time.Millisecond, time.Second })
		w := f.joinPlain(a)
		f.pass(time.Second)
		slow := []acquirertest.Fault{
			{After: func(context.Context) { time.Sleep(900 * time.Millisecond) }}, // the lease is over before the answer
			{Before: func(context.Context) { time.Sleep(200 * time.Millisecond) }},
		}
		f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
			if v == acquirertest.Heartbeat && len(slow) > 0 {
				fault, slow = slow[0], slow[1:]
			}
			return fault
		})
		f.pass(800 * time.Millisecond)
		calls := f.store.Calls(acquirertest.Claim)
		f.enqueue(a, f.posting(nil))
		f.settle()
		f.mustGet(w, "under the new name")
		if n := f.store.Calls(acquirertest.Claim) - calls; n != 1 {
			t.Errorf("%d claims, want 1: the others were under a name that the store did not know", n)
		}
	})
}
