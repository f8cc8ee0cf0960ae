package outcall_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/outcall"
)

// A host hears of events, however long it takes over each, until nobody waits for that any more; then for a little while longer.
func TestTeller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := outcall.New(quartz.NewReal())
		teller := outcall.Teller{Calls: calls, Kind: "Config.Events"}
		told, refused := 0, errors.New("refused")
		tell := func(ctx context.Context, takes time.Duration) error {
			return teller.Tell(ctx, func() error { told++; time.Sleep(takes); return refused })
		}
		for range 3 {
			if err := tell(t.Context(), time.Hour); !errors.Is(err, refused) {
				t.Error(err)
			}
		}
		over, end := context.WithCancel(t.Context())
		end()
		for range 10 {
			_ = tell(over, outcall.Patience/2)
		}
		if told != 3+2 {
			t.Errorf("%d events were told", told)
		}
		if err := tell(over, 0); err != nil {
			t.Errorf("of one that is dropped: %v", err)
		}
	})
}

// A host that has not returned from one event hears of no other until it has.
func TestTellerOfAHostThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		teller := outcall.Teller{Calls: outcall.New(quartz.NewReal()), Kind: "Config.Events"}
		ctx, end := context.WithCancel(t.Context())
		goOn := make(chan struct{})
		var told atomic.Int32
		time.AfterFunc(time.Second, end)
		err := teller.Tell(ctx, func() error { told.Add(1); <-goOn; return nil })
		if _, given := outcall.Given(err); !given {
			t.Errorf("error %v", err)
		}
		tell := func() error { return teller.Tell(t.Context(), func() error { told.Add(1); return nil }) }
		if err := tell(); err != nil || told.Load() != 1 {
			t.Errorf("while it has not returned %d events are told, %v", told.Load(), err)
		}
		close(goOn)
		synctest.Wait()
		if err := tell(); err != nil || told.Load() != 2 {
			t.Errorf("when it has, %d events are told, %v", told.Load(), err)
		}
	})
}
