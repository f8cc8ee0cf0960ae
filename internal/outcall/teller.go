package outcall

import (
	"context"
	"time"
)

// Teller calls a function of the host for one event after the other. Once nobody waits for that any more, which is when the context of a
// call has ended, it calls it for [Patience] longer, and then no more; nor does it while an earlier call has not returned. It is for one
// goroutine at a time.
type Teller struct {
	Calls *Calls
	// Kind is what the calls are called.
	Kind string

	late time.Duration // that calls took which began after their contexts had ended
}

// Tell calls f, or drops the event. Its error is that of [Do]; nil if the event was dropped.
func (t *Teller) Tell(ctx context.Context, f func() error) error {
	if t.late >= Patience || t.Calls.Stuck(t.Kind) > 0 {
		return nil
	}
	begun, over := t.Calls.clock.Now(), ctx.Err() != nil
	_, err := Do(ctx, t.Calls, t.Kind, func(context.Context) (struct{}, error) { return struct{}{}, f() }, nil)
	if over {
		t.late += t.Calls.clock.Since(begun)
	}
	return err
}
