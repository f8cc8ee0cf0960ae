package acquirertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
)

// ErrLost is the error of a call that took effect although its answer says otherwise.
var ErrLost = errors.New("acquirertest: answer lost after commit")

// ErrDown is the error of a call that did not take effect.
var ErrDown = errors.New("acquirertest: store down")

// Verb is a method of a store.
type Verb string

// The verbs.
const (
	Enqueue Verb = "enqueue"
	Ready   Verb = "ready"
	Claim   Verb = "claim"
	Renew   Verb = "renew"
	End     Verb = "end"
	Cancel  Verb = "cancel"
	Beat    Verb = "beat"
	Bury    Verb = "bury"
	Purge   Verb = "purge"
	Jobs    Verb = "jobs"
	Lines   Verb = "lines"
	Ahead   Verb = "ahead"
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

// Store is an [acquirer.Store] around another, that counts calls and lets the test choose their faults.
type Store struct {
	inner acquirer.Store

	mu     sync.Mutex
	choose func(Verb) Fault
	calls  map[Verb]int
	claims []ClaimRecord
}

// ClaimRecord is one claim that reached the store.
type ClaimRecord struct {
	Claim  acquirer.Claim
	Got    int
	Failed bool
}

// Wrap returns a store that passes everything on until told otherwise.
func Wrap(inner acquirer.Store) *Store { return &Store{inner: inner, calls: make(map[Verb]int)} }

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

// Enqueue implements [acquirer.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []acquirer.Posting) ([]acquirer.Job, error) {
	return through(ctx, s, Enqueue, func() ([]acquirer.Job, error) { return s.inner.Enqueue(ctx, now, postings) })
}

// Ready implements [acquirer.Queue].
func (s *Store) Ready(ctx context.Context, now time.Time, q acquirer.ReadyQuery) (acquirer.Listing, error) {
	return through(ctx, s, Ready, func() (acquirer.Listing, error) { return s.inner.Ready(ctx, now, q) })
}

// Claim implements [acquirer.Queue].
func (s *Store) Claim(ctx context.Context, c acquirer.Claim) (acquirer.Claimed, error) {
	record := ClaimRecord{Claim: c}
	claimed, err := through(ctx, s, Claim, func() (acquirer.Claimed, error) {
		claimed, err := s.inner.Claim(ctx, c)
		record.Got = len(claimed.Jobs)
		return claimed, err
	})
	record.Failed = err != nil
	s.mu.Lock()
	s.claims = append(s.claims, record)
	s.mu.Unlock()
	return claimed, err
}

// Renew implements [acquirer.Leases].
func (s *Store) Renew(ctx context.Context, now time.Time, renewals []acquirer.Renewal) ([]acquirer.Renewed, error) {
	return through(ctx, s, Renew, func() ([]acquirer.Renewed, error) { return s.inner.Renew(ctx, now, renewals) })
}

// End implements [acquirer.Leases].
func (s *Store) End(ctx context.Context, now time.Time, ends []acquirer.End) ([]acquirer.Ended, error) {
	return through(ctx, s, End, func() ([]acquirer.Ended, error) { return s.inner.End(ctx, now, ends) })
}

// Cancel implements [acquirer.Leases].
func (s *Store) Cancel(ctx context.Context, c acquirer.Cancellation) ([]acquirer.Job, error) {
	return through(ctx, s, Cancel, func() ([]acquirer.Job, error) { return s.inner.Cancel(ctx, c) })
}

// Beat implements [acquirer.Registry].
func (s *Store) Beat(ctx context.Context, b acquirer.Beat) (acquirer.Pulse, error) {
	return through(ctx, s, Beat, func() (acquirer.Pulse, error) { return s.inner.Beat(ctx, b) })
}

// Bury implements [acquirer.Registry].
func (s *Store) Bury(ctx context.Context, b acquirer.Burial) ([]acquirer.Job, error) {
	return through(ctx, s, Bury, func() ([]acquirer.Job, error) { return s.inner.Bury(ctx, b) })
}

// Purge implements [acquirer.Registry].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return through(ctx, s, Purge, func() (int, error) { return s.inner.Purge(ctx, before, limit) })
}

// Jobs implements [acquirer.Inspector].
func (s *Store) Jobs(ctx context.Context, f acquirer.Filter) ([]acquirer.Job, error) {
	return through(ctx, s, Jobs, func() ([]acquirer.Job, error) { return s.inner.Jobs(ctx, f) })
}

// Lines implements [acquirer.Inspector].
func (s *Store) Lines(ctx context.Context, job uuid.UUID, after int64, limit int) ([]acquirer.Line, error) {
	return through(ctx, s, Lines, func() ([]acquirer.Line, error) { return s.inner.Lines(ctx, job, after, limit) })
}

// Ahead implements [acquirer.Inspector].
func (s *Store) Ahead(ctx context.Context, job uuid.UUID, countTo int) ([]acquirer.Standing, error) {
	return through(ctx, s, Ahead, func() ([]acquirer.Standing, error) { return s.inner.Ahead(ctx, job, countTo) })
}
