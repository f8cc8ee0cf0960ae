package store

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Bound is the part of a store that works within a transaction of the host. Its calls have their own effects or none, and
// all of them those of the transaction: nobody else sees anything before its commit, and a rollback leaves nothing.
type Bound interface {
	lifecycle.Store
	lifecycle.Registry
	lifecycle.Recorder
	// Enqueue is that of [queue.Queue].
	Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error)
}

// Tx is a store within a transaction of the host, which stores over SQL return from their WithTx. The host commits, or rolls
// back, and then has no use for it any more.
type Tx interface {
	Bound
	// Committed makes known to those who wait in this process what the transaction has written. It is to be called after
	// the commit, and only then. Without it the engines find everything when they look by themselves.
	Committed()
}
