package acquirer_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A worker that moves to a process which was not told how long it may be silent is not heard out for ever.
func TestSilentWorkerThatMoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		change := func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(9, 0)}
			c.Remote.Silence = 40 * time.Second
		}
		a, b := f.start(change), f.start(change)
		job := f.hand(a, func(r *queue.Request) { r.Silence = 20 * time.Second })
		report := queue.Report{Handout: job.Handout()}
		for range 3 { // as long as it reports it has the job
			if _, err := b.Renew(f.ctx, report); err != nil {
				t.Fatal(err)
			}
			f.pass(30 * time.Second)
		}
		w := f.joinPlain(a)
		f.pass(15 * time.Second)
		if got := f.mustGet(w, "after the silence"); got.ID != job.ID || got.Attempt != 2 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
	})
}
