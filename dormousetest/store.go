package dormousetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Store is the store of a [Kit], which tells of each commit and fails on demand. Its methods are safe for concurrent use.
type Store struct {
	store.Store

	mu      sync.Mutex
	changed chan struct{} // closed by the next commit
	failure error
	blocked chan struct{} // closed when the store answers again, nil if it does
}

// wrap returns the store as the plane gets it, with the ability of the wrapped one that it looks for, and its knobs.
func wrap(inner store.Store) (store.Store, *Store) {
	s := &Store{Store: inner, changed: make(chan struct{})}
	if w, ok := inner.(lifecycle.Watcher); ok {
		return watched{s, w}, s
	}
	return s, s
}

type watched struct {
	*Store
	lifecycle.Watcher
}

// Fail makes the calls by which the engine decides, commits and delivers fail, as if the database could not be reached,
// until it is called with nil. The error need not wrap lifecycle.ErrUnavailable.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure = err; err != nil {
		s.failure = fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
	}
}

// Block lets the same calls wait, as behind a lock that nobody gives back, until it is called with false or their context
// ends.
func (s *Store) Block(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on && s.blocked == nil:
		s.blocked = make(chan struct{})
	case !on && s.blocked != nil:
		close(s.blocked)
		s.blocked = nil
	}
}

// fault waits while the store is blocked, and returns the error that it fails with.
func (s *Store) fault(ctx context.Context) error {
	s.mu.Lock()
	blocked, failure := s.blocked, s.failure
	s.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failure
}

// committed returns a channel that the next commit closes.
func (s *Store) committed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Due implements lifecycle.Store.
func (s *Store) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	if err := s.fault(ctx); err != nil {
		return nil, err
	}
	return s.Store.Due(ctx, q)
}

// NextWake implements lifecycle.Waker.
func (s *Store) NextWake(ctx context.Context, shard lifecycle.Shard) (time.Time, error) {
	if err := s.fault(ctx); err != nil {
		return time.Time{}, err
	}
	return s.Store.NextWake(ctx, shard)
}

// Commit implements lifecycle.Store.
func (s *Store) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if err := s.fault(ctx); err != nil {
		return nil, err
	}
	outcomes, err := s.Store.Commit(ctx, now, changes)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return outcomes, err
}

// ClaimEvents implements lifecycle.Outbox.
func (s *Store) ClaimEvents(
	ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int,
) ([]lifecycle.Event, error) {
	if err := s.fault(ctx); err != nil {
		return nil, err
	}
	return s.Store.ClaimEvents(ctx, now, topics, lease, limit)
}
