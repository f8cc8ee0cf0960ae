package acquirer_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// traced is a store that remembers the goroutines of postings.
type traced struct {
	queue.Store
	on map[string]bool
}

func (s *traced) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	stack := make([]byte, 100)
	stack = stack[:runtime.Stack(stack, false)]
	s.on[string(bytes.Fields(stack)[1])] = true
	return s.Store.Enqueue(ctx, now, postings)
}

// While Run runs, calls are made on the goroutines of those before. Nothing stays without Run, or the bubble would not end.
func TestCallsStayOnTheirGoroutine(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		s := &traced{Store: f.store}
		a, err := acquirer.New(s, nil, acquirer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		// goroutines are those that ten postings are made on, a second apart.
		goroutines := func() int {
			s.on = map[string]bool{}
			for range 10 {
				if _, err := a.Enqueue(f.ctx, queue.Posting{Organization: uuid.UUID{1}, Type: "build"}); err != nil {
					t.Fatal(err)
				}
				f.pass(time.Second)
			}
			return len(s.on)
		}
		if n := goroutines(); n != 10 {
			t.Errorf("%d goroutines before Run, want one for each call", n)
		}
		ctx, stop := context.WithCancel(f.ctx)
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		f.pass(time.Second)
		if n := goroutines(); n > 4 {
			t.Errorf("%d goroutines while Run runs, want a few that stay", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := goroutines(); n != 10 {
			t.Errorf("%d goroutines after Run, want one for each call", n)
		}
	})
}
