package executor

import (
	"context"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Over returns a client that reads and writes through a store within a transaction of the host, such as the SQL stores have.
// What the client does becomes real with the commit of the transaction; the host then calls committed, once, which announces it
// as this client announces what it commits itself. Without that call, it is found when somebody looks.
//
// The transaction stays open while ClientConfig.Builder prepares a build. The client is for one goroutine at a time, as the
// transaction is; it has no Run, and records no activity.
func (c *Client) Over(store lifecycle.Store) (over *Client, committed func()) {
	over = &Client{
		caller: c.caller, store: newBounded(store, c.cfg.StoreTimeout, c.caller), cfg: c.cfg, dropped: c.dropped, topics: c.topics, builds: c.builds,
		activity: newActivity(), zones: newZones(nil), made: c.made, later: &later{},
	}
	over.ran.Store(true)
	return over, func() {
		c.committed(context.Background(), over.later.written, over.later.queued)
		c.signals.changed()
	}
}

// later is what a transaction has written, until its commit.
type later struct {
	written lifecycle.Topics
	queued  []lifecycle.Job
}

func (l *later) add(written lifecycle.Topics, queued []lifecycle.Job) {
	l.written |= written
	l.queued = append(l.queued, queued...)
}
