package tenancy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

const (
	workers = 8                     // of the victim, each with one slot
	held    = 10                    // jobs that run all the time, beside those
	pause   = 20 * time.Millisecond // between two postings
	silence = 5 * time.Second
)

// victim is a tenant whose workers of other processes are at the second process, and who posts in the first.
type victim struct {
	*bench
	organization uuid.UUID
	stop         func()
	lost         atomic.Int64

	mu     sync.Mutex
	served map[uuid.UUID]time.Time
}

func newVictim(ctx context.Context, b *bench) (*victim, error) {
	ctx, cancel := context.WithCancel(ctx)
	v := &victim{bench: b, organization: uuid.New(), served: make(map[uuid.UUID]time.Time)}
	var running sync.WaitGroup
	v.stop = func() {
		cancel()
		running.Wait()
	}
	for range held {
		if _, err := b.front.Enqueue(ctx, queue.Posting{Organization: v.organization, Type: "long"}); err != nil {
			v.stop()
			return nil, err
		}
		running.Go(func() { v.hold(ctx, v.remote("long")) })
	}
	for range workers {
		running.Go(func() { v.work(ctx, v.remote("short")) })
	}
	for b.worker.Stats().Holding < held && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return v, nil
}

func (v *victim) remote(kind string) acquirer.Remote {
	return v.worker.Remote(acquirer.Identity{Organization: v.organization, Worker: uuid.New(), Types: []string{kind}})
}

// hold takes a job and reports on it each second until the end.
func (v *victim) hold(ctx context.Context, r acquirer.Remote) {
	job, err := r.AcquireJob(ctx, queue.Request{Types: []string{"long"}, Silence: silence})
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		_, err = r.Renew(ctx, queue.Report{Handout: job.Handout(), Silence: silence, Lines: []queue.Line{{Text: "still at it"}}})
	}
	if err != nil && ctx.Err() == nil {
		v.lost.Add(1)
	}
}

// work takes jobs, one after the other, notes when each came, and ends it.
func (v *victim) work(ctx context.Context, r acquirer.Remote) {
	for ctx.Err() == nil {
		job, err := r.AcquireJob(ctx, queue.Request{Types: []string{"short"}, Silence: silence})
		if err != nil {
			continue
		}
		at := time.Now()
		v.mu.Lock()
		v.served[job.ID] = at
		v.mu.Unlock()
		if _, err := r.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); errors.Is(err, queue.ErrLeaseLost) {
			v.lost.Add(1)
		}
	}
}

// handovers posts jobs for so long and returns how long each took from its posting until a worker had it.
func (v *victim) handovers(ctx context.Context, d time.Duration) (took []time.Duration, err error) {
	posted := make(map[uuid.UUID]time.Time)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(pause) {
		id, at := uuid.New(), time.Now()
		if _, err := v.front.Enqueue(ctx, queue.Posting{ID: id, Organization: v.organization, Tenant: uuid.New(), Type: "short"}); err != nil {
			return nil, err
		}
		posted[id] = at
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if took = v.since(posted); len(took) == len(posted) {
			return took, nil
		}
		if time.Now().After(until) {
			return nil, errors.New("jobs were not handed out within a minute")
		}
	}
}

func (v *victim) since(posted map[uuid.UUID]time.Time) (took []time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, at := range posted {
		if served, ok := v.served[id]; ok {
			took = append(took, served.Sub(at))
		}
	}
	return took
}
