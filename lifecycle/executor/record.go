package executor

import (
	"context"
	"fmt"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Record calls write with the store as a [lifecycle.Writer], whose write takes those of the events with it that somebody
// receives (see ClientConfig.Topics), and announces them. The store must be a [lifecycle.Recorder].
func (c *Client) Record(ctx context.Context, write func(lifecycle.Writer) error, events ...lifecycle.Event) error {
	if !c.records() {
		return invalid.New("store", fmt.Sprintf("%T", c.store.inner), needs(c.store.inner, "lifecycle.Recorder"))
	}
	wanted, err := c.asked(ctx)
	if err != nil {
		return err
	}
	events = wanted.Filter(events)
	if err := write(c.store.recorder.Recording(events...)); err != nil {
		return err
	}
	c.committed(ctx, topicsOf(events), nil)
	return nil
}

// asked is wanted for a write that follows no snapshot: what this process has read of the store may be old, or nothing.
func (c *Client) asked(ctx context.Context) (lifecycle.Topics, error) {
	holder, ok := lifecycle.Ability[lifecycle.Holder](c.store.inner)
	if !ok {
		return c.wanted(), nil
	}
	engine, err := ask(ctx, c.store, "store: engine", holder.Engine)
	return c.topics | engine.Topics, err
}

func (c *Client) records() bool { return c.store.recorder != nil }
