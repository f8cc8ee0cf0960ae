package acquirer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
)

// slowEnds is a source whose ends wait until they may go.
type slowEnds struct {
	*acquirer.Acquirer
	gate chan struct{}
}

func (s slowEnds) End(ctx context.Context, e queue.End) (queue.Job, error) {
	<-s.gate
	return s.Acquirer.End(ctx, e)
}

// While ends are on their way, as many jobs are begun and not ended as there are slots, and as many more as the host allows. Their
// leases are kept, and Run waits for them.
func TestEndsOnTheirWay(t *testing.T) {
	t.Parallel()
	for ending, want := range map[int]int64{0: 2, 3: 5} {
		bubble(t, func(f *fleet) {
			a := f.start()
			source := slowEnds{a, make(chan struct{})}
			var begun, running, most atomic.Int64
			stop := f.work(source, func(context.Context, *worker.Task) ([]byte, error) {
				begun.Add(1)
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second) // in a bubble
				running.Add(-1)
				return nil, nil
			}, func(c *worker.Config) { c.Slots, c.Ending = 2, ending })
			for range 9 {
				f.enqueue(a, f.posting(nil))
			}
			f.pass(10 * time.Second)
			if n := begun.Load(); n != want {
				t.Errorf("Ending %d: %d jobs are begun and not ended, want %d", ending, n, want)
			}
			if n := a.Stats().Holding; int64(n) != want {
				t.Errorf("Ending %d: %d leases are kept, want %d", ending, n, want)
			}
			stopped := make(chan struct{})
			go func() {
				stop()
				close(stopped)
			}()
			synctest.Wait()
			select {
			case <-stopped:
				t.Errorf("Ending %d: the worker has stopped before its ends were stored", ending)
			default:
			}
			close(source.gate)
			<-stopped
			if n := a.Stats().Holding; n != 0 || most.Load() != 2 {
				t.Errorf("Ending %d: %d jobs not ended, %d at once", ending, n, most.Load())
			}
		})
	}
}
