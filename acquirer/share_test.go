package acquirer_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// slowly is a store whose postings take their time.
type slowly struct{ queue.Store }

func (s slowly) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	time.Sleep(20 * time.Millisecond)
	return s.Store.Enqueue(ctx, now, postings)
}

// An organization that posts without end gets its share while another posts, which does not wait, and all of the store while nobody
// else does.
func TestShareOfAnOrganization(t *testing.T) {
	t.Parallel()
	for _, others := range []bool{false, true} {
		bubble(t, func(f *fleet) {
			a, err := acquirer.New(slowly{f.inner}, nil, acquirer.Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
			defer cancel()
			if others {
				go func() {
					for modest := uuid.New(); ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
						begun := time.Now()
						_, err := a.Enqueue(f.ctx, queue.Posting{Organization: modest, Type: "build"})
						if took := time.Since(begun); err != nil || took != 20*time.Millisecond {
							t.Errorf("a posting within its share took %s, %v", took, err)
						}
					}
				}()
			}
			n := 0
			for ; ctx.Err() == nil; n++ {
				if _, err := a.Enqueue(f.ctx, queue.Posting{Organization: f.org, Type: "build"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := a.Stats().Delayed; !others && len(got) != 0 || others && (len(got) != 1 || got[f.org] < 200) {
				t.Errorf("beside others %v: delayed calls %v, want those of one organization", others, got)
			}
			f.pass(time.Second)
			if least, most := 500, 501; !others && (n < least || n > most) {
				t.Errorf("alone: %d postings of 20ms in 10s", n)
			}
			if others && (n < 240 || n > 270) {
				t.Errorf("beside another: %d postings of 20ms in 10s, want a half and what one may use at once", n)
			}
		})
	}
}
