package executor

import (
	"context"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// wanted are the topics whose events a change is written with: those of the store, and those of this process, which the store
// may not know yet, or cannot keep.
func (c *Client) wanted() lifecycle.Topics {
	return c.topics | lifecycle.Topics(c.store.subscribed.Load())
}

// subscribe tells the store which topics this process receives, so that others write their events too. A process of an
// earlier version forgets them when it writes the [lifecycle.Engine]; what the snapshots of the last tick lacked is told
// again. A failure delays nothing that this process writes.
func (e *Executor) subscribe(ctx context.Context) {
	missing := e.topics &^ lifecycle.Topics(e.store.subscribed.Load())
	if missing == 0 || e.store.subscriber == nil {
		return
	}
	if err := e.store.ChangeTopics(ctx, missing, 0); err != nil {
		warn(ctx, e.logger, "subscribe to topics", err)
		return
	}
	e.store.subscribed.Or(uint32(missing))
}
