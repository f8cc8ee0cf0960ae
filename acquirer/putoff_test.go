package acquirer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// posterStore is the store of a process that gets its postings through, but not all that it has to do before it claims.
type posterStore struct {
	queue.Store
	noHeartbeats, noListings atomic.Bool
	failed                   atomic.Int32
}

func (s *posterStore) Heartbeat(ctx context.Context, h queue.Heartbeat) (queue.Fleet, error) {
	if s.noHeartbeats.Load() {
		return queue.Fleet{}, acquirertest.ErrDown
	}
	return s.Store.Heartbeat(ctx, h)
}

func (s *posterStore) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	if s.noListings.Load() {
		s.failed.Add(1)
		return queue.Listing{}, acquirertest.ErrDown
	}
	return s.Store.Ready(ctx, now, q)
}

// untilFailed lets time pass until so many listings have failed.
func (f *fleet) untilFailed(s *posterStore, n int32) {
	f.t.Helper()
	for range 3600 {
		if s.failed.Load() >= n {
			return
		}
		f.pass(time.Second)
	}
	f.t.Fatalf("%d listings failed in an hour, want %d", s.failed.Load(), n)
}

// publishing is a pubsub alone: no message of it is carried by a store.
type publishing struct{ queue.Pubsub }

// A process that may not claim, because it is not registered or because its store has been failing, tells the others of what it posts
// although a worker waits beside it: that one would have the job when the process may claim again, and others can have it now.
func TestPostedWhereClaimsArePutOff(t *testing.T) {
	t.Parallel()
	for why, begin := range map[string]func(*fleet, *posterStore, *acquirer.Acquirer){
		"not registered": func(f *fleet, s *posterStore, a *acquirer.Acquirer) {
			s.noHeartbeats.Store(true)
			f.runUntil(a)
		},
		"its store has been failing": func(f *fleet, s *posterStore, a *acquirer.Acquirer) {
			f.runUntil(a)
			s.noListings.Store(true)
			f.joinPlain(a) // and it looks, in vain
			f.untilFailed(s, 9)
			f.untilFailed(s, s.failed.Load()+1)
		},
	} {
		for way, bus := range map[string]func(*fleet) queue.Pubsub{
			"told of in the commit": func(f *fleet) queue.Pubsub { return f.bus },
			"told of after it":      func(f *fleet) queue.Pubsub { return publishing{f.bus} },
		} {
			t.Run(why+", "+way, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(f *fleet) {
					back := f.start()
					waits := []*wait{f.joinPlain(back), f.joinPlain(back)}
					store := &posterStore{Store: f.store}
					front, err := acquirer.New(store, bus(f), acquirer.Config{StopTimeout: time.Millisecond})
					if err != nil {
						t.Fatal(err)
					}
					begin(f, store, front)
					f.joinPlain(front)
					f.pass(time.Second)
					for i := range waits {
						f.enqueue(front, f.posting(nil))
						f.pass(100 * time.Millisecond)
						if n := count(waits); n != i+1 {
							t.Errorf("%d of %d jobs are with the workers of the other process", n, i+1)
						}
					}
				})
			})
		}
	}
}
