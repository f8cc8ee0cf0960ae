package acquirer_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// passing passes over the jobs it is to expire: somebody holds their rows.
type passing struct {
	queue.Store
	calls int
}

func (p *passing) Cancel(context.Context, queue.Cancellation) ([]queue.Job, error) {
	p.calls++
	return nil, nil
}

// A line that is longer than a batch expires as a whole at the first occasion; where nothing of a full batch can be expired, it is
// left for the next one.
func TestExpireLongLine(t *testing.T) {
	t.Parallel()
	const batch, after = 10, 20 * time.Minute
	config := func(c *acquirer.Config) { c.Batch, c.Expire = batch, after }
	t.Run("all of it", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(f *fleet) {
			a := f.start(config)
			var ids []queue.Posting
			for range 3*batch + batch/2 {
				ids = append(ids, f.posting(nil))
			}
			f.enqueue(a, ids...)
			f.pass(after + 2*time.Minute)
			first := f.stored(ids[0].ID).EndedAt
			for i, p := range ids {
				job := f.stored(p.ID)
				if job.State != queue.Failed || job.EndedAt.Sub(first).Abs() > time.Second {
					f.t.Fatalf("job %d is %v since %v, the first one since %v", i, job.State, job.EndedAt, first)
				}
			}
		})
	})
	t.Run("none of it", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(f *fleet) {
			held := &passing{Store: f.store}
			cfg := acquirer.Config{}
			config(&cfg)
			a, err := acquirer.New(held, f.bus, cfg)
			if err != nil {
				f.t.Fatal(err)
			}
			stop := f.runUntil(a)
			var postings []queue.Posting
			for range 2 * batch {
				postings = append(postings, f.posting(nil))
			}
			f.enqueue(a, postings...)
			f.pass(after + 10*time.Minute)
			if held.calls < 2 || held.calls > 40 {
				f.t.Errorf("%d attempts in ten minutes, want one at each backup", held.calls)
			}
			if err := stop(); err != nil {
				f.t.Errorf("Run: %v", err)
			}
		})
	})
}
