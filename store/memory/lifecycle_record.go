package memory

import (
	"context"
	"fmt"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// recording is the store as it writes events with what people put there.
type recording struct {
	s      *Store
	events []lifecycle.Event
}

// Recording implements [lifecycle.Recorder].
func (s *Store) Recording(events ...lifecycle.Event) lifecycle.Writer { return recording{s, events} }

// write does something and adds the events, in one step, unless it fails.
func (r recording) write(ctx context.Context, do func(s *Store) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.locked(do); err != nil {
		return err
	}
	r.s.watchers.Notify()
	return nil
}

func (r recording) locked(do func(s *Store) error) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if err := do(r.s); err != nil {
		return err
	}
	for _, e := range r.events {
		r.s.outbox.add(e)
	}
	return nil
}

// wrap says what was attempted, if there is an error.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(doing, err)
}
