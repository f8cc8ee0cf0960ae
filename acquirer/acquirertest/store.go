package acquirertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// ErrLost is the error of a call that took effect although its answer says otherwise.
var ErrLost = errors.New("acquirertest: answer lost after commit")

// ErrDown is the error of a call that did not take effect.
var ErrDown = errors.New("acquirertest: store down")

// Verb is a method of a store.
type Verb string

// The verbs.
const (
	Enqueue   Verb = "enqueue"
	Ready     Verb = "ready"
	Claim     Verb = "claim"
	Renew     Verb = "renew"
	Reassign  Verb = "reassign"
	End       Verb = "end"
	Cancel    Verb = "cancel"
	Heartbeat Verb = "heartbeat"
	Reap      Verb = "reap"
	Prune     Verb = "prune"
	Jobs      Verb = "jobs"
	Lines     Verb = "lines"
	Ahead     Verb = "ahead"
)

// Fault is what happens to one call. The zero value lets it pass.
type Fault struct {
	// Before is called before the store is, and may block until ctx ends.
	Before func(ctx context.Context)
	// Down: the store is not called; the call fails with [ErrDown].
	Down bool
	// Lost: the store is called, then the call fails with [ErrLost].
	Lost bool
	// After is called after the store was, before the answer is given.
	After func(ctx context.Context)
}

// Store is a [queue.Store] around another, that counts calls and lets the test choose their faults. It takes claims at their
// word: a job below the bound of its probe is not handed out, as in a database that skips its dead index entries there. So an
// acquirer that promises too much leaves a job lying, and a test sees it.
type Store struct {
	inner queue.Store

	mu     sync.Mutex
	choose func(Verb) Fault
	calls  map[Verb]int
	claims []ClaimRecord
	// withheld counts the jobs below the bounds of their probes.
	withheld int
	promises promises
}

// ClaimRecord is one claim that reached the store.
type ClaimRecord struct {
	Claim  queue.Claim
	Got    int
	Failed bool
}

// Wrap returns a store that passes everything on until a fault is chosen.
func Wrap(inner queue.Store) *Store { return &Store{inner: inner, calls: make(map[Verb]int)} }

// Choose sets the fault of every call from now on; nil lets all pass.
func (s *Store) Choose(choose func(Verb) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.choose = choose
}

// Once gives the next call of a verb a fault and lets all others pass.
func (s *Store) Once(verb Verb, fault Fault) {
	var used sync.Once
	s.Choose(func(v Verb) (f Fault) {
		if v == verb {
			used.Do(func() { f = fault })
		}
		return f
	})
}

// Calls is the number of calls of a verb so far, faulty ones included.
func (s *Store) Calls(verb Verb) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[verb]
}

// Claims are all claims so far.
func (s *Store) Claims() []ClaimRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ClaimRecord(nil), s.claims...)
}

// through runs one call with its fault.
func through[T any](ctx context.Context, s *Store, verb Verb, call func() (T, error)) (T, error) {
	s.mu.Lock()
	s.calls[verb]++
	var fault Fault
	if s.choose != nil {
		fault = s.choose(verb)
	}
	s.mu.Unlock()
	var none T
	if fault.Before != nil {
		fault.Before(ctx)
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if fault.Down {
		return none, ErrDown
	}
	answer, err := call()
	if fault.After != nil {
		fault.After(ctx)
	}
	if fault.Lost {
		return none, ErrLost
	}
	return answer, err
}

// Enqueue implements [queue.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	return through(ctx, s, Enqueue, func() ([]queue.Job, error) { return s.inner.Enqueue(ctx, now, postings) })
}

// Ready implements [queue.Queue].
func (s *Store) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	return through(ctx, s, Ready, func() (queue.Listing, error) { return s.inner.Ready(ctx, now, q) })
}

// Claim implements [queue.Queue].
func (s *Store) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	record := ClaimRecord{Claim: c}
	s.check(func(p *promises) { p.claim(c) })
	claimed, err := through(ctx, s, Claim, func() (queue.Claimed, error) {
		claimed, err := s.inner.Claim(ctx, c)
		if err == nil {
			claimed.Jobs, err = s.withhold(ctx, c, claimed.Jobs)
		}
		record.Got = len(claimed.Jobs)
		return claimed, err
	})
	record.Failed = err != nil
	s.mu.Lock()
	s.claims = append(s.claims, record)
	s.mu.Unlock()
	return claimed, err
}

// withhold gives back what lies below the bounds of a claim.
func (s *Store) withhold(ctx context.Context, c queue.Claim, jobs []queue.Job) (kept []queue.Job, err error) {
	bounds := make(map[queue.Lane]int64, len(c.Probes))
	for _, p := range c.Probes {
		bounds[p.Lane] = p.From
	}
	var below []queue.End
	for _, job := range jobs {
		if job.Order >= bounds[job.Lane()] {
			kept = append(kept, job)
			continue
		}
		below = append(below, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeReleased, Process: c.Process})
	}
	if len(below) > 0 {
		_, err = s.inner.End(ctx, c.Now, below)
	}
	s.mu.Lock()
	s.withheld += len(below)
	s.mu.Unlock()
	return kept, err
}

// Withheld is the number of jobs that claims did not get because of their own bounds.
func (s *Store) Withheld() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.withheld
}

// Renew implements [queue.Leases].
func (s *Store) Renew(ctx context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	leases := make([]queue.Lease, len(renewals))
	for i, r := range renewals {
		leases[i] = r.Lease
	}
	s.check(func(p *promises) { p.leases(Renew, leases) })
	return through(ctx, s, Renew, func() ([]queue.Renewed, error) { return s.inner.Renew(ctx, now, renewals) })
}

// Reassign implements [queue.Leases].
func (s *Store) Reassign(ctx context.Context, moves []queue.Reassignment) ([]bool, error) {
	return through(ctx, s, Reassign, func() ([]bool, error) { return s.inner.Reassign(ctx, moves) })
}

// End implements [queue.Leases].
func (s *Store) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	leases := make([]queue.Lease, len(ends))
	for i, e := range ends {
		leases[i] = e.Lease
	}
	s.check(func(p *promises) { p.leases(End, leases) })
	return through(ctx, s, End, func() ([]queue.Ended, error) { return s.inner.End(ctx, now, ends) })
}

// Cancel implements [queue.Leases].
func (s *Store) Cancel(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	return through(ctx, s, Cancel, func() ([]queue.Job, error) { return s.inner.Cancel(ctx, c) })
}

// Heartbeat implements [queue.Registry].
func (s *Store) Heartbeat(ctx context.Context, b queue.Heartbeat) (queue.Fleet, error) {
	return through(ctx, s, Heartbeat, func() (queue.Fleet, error) { return s.inner.Heartbeat(ctx, b) })
}

// Reap implements [queue.Registry].
func (s *Store) Reap(ctx context.Context, b queue.ReapRequest) (queue.Reaped, error) {
	return through(ctx, s, Reap, func() (queue.Reaped, error) { return s.inner.Reap(ctx, b) })
}

// PruneJobs implements [queue.Registry].
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (int, error) {
	return through(ctx, s, Prune, func() (int, error) { return s.inner.PruneJobs(ctx, before, limit) })
}

// Jobs implements [queue.Inspector].
func (s *Store) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	return through(ctx, s, Jobs, func() ([]queue.Job, error) { return s.inner.Jobs(ctx, f) })
}

// Lines implements [queue.Inspector].
func (s *Store) Lines(ctx context.Context, job uuid.UUID, after int64, limit int) ([]queue.Line, error) {
	return through(ctx, s, Lines, func() ([]queue.Line, error) { return s.inner.Lines(ctx, job, after, limit) })
}

// Ahead implements [queue.Inspector].
func (s *Store) Ahead(ctx context.Context, job uuid.UUID, countTo int) ([]queue.ReadyLane, error) {
	return through(ctx, s, Ahead, func() ([]queue.ReadyLane, error) { return s.inner.Ahead(ctx, job, countTo) })
}
