package acquirer_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// ledger is the store that all processes of a model share. It writes down which attempts were ended by a process and not by
// their worker.
type ledger struct {
	queue.Store

	mu    sync.Mutex
	taken map[queue.Lease]taking
}

// taking is the end of an attempt by a process. The worker of one that may hang is not asked whether it lives.
type taking struct {
	outcome queue.Outcome
	at      time.Time
	mayHang bool
}

func newLedger() *ledger {
	return &ledger{Store: memory.NewJobs(), taken: make(map[queue.Lease]taking)}
}

// End implements [queue.Leases].
func (l *ledger) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	answers, err := l.Store.End(ctx, now, ends)
	for i, e := range ends {
		if err == nil && answers[i].Err == nil && !answers[i].Again && e.Process != uuid.Nil {
			job := answers[i].Job
			l.taken[e.Lease] = taking{e.Outcome, time.Now(), job.RunLimit > 0 || !job.CancelAt.IsZero()}
		}
	}
	return answers, err
}

func (l *ledger) all() map[queue.Lease]taking {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.taken)
}
