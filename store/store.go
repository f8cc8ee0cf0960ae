// Package store joins the small interfaces that the engines ask of a database into one, for databases that serve all of
// them. Its implementations are package memory (for one process and for unit tests), and, in modules of their own so that
// only their users link a driver, store/sqlite and store/postgres.
//
// A host with a database of its own need not implement this: each engine works with its own methods alone:
// three of package lifecycle, four of prewarm, twenty of acquirer/queue. What all implementations guarantee is what package
// storetest checks.
//
//   - Values cross the border as copies; neither side sees the other's later writes.
//   - Instants are UTC with microsecond precision, and the zero instant stays zero. A store reads no clock: now comes
//     from the caller.
//   - Texts for people are UTF-8 without zero bytes, whatever they were (package store/form).
//   - A call has all of its effects or none, and is safe to make from several goroutines and processes at once.
//
// A store does not decide anything. When a workspace must be looked at, what a policy means and who may run a job is
// known to the engines alone.
package store

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
)

// Store is everything the engines use. The job of a new build is enqueued in the commit of its change.
type Store interface {
	lifecycle.Store
	lifecycle.Outbox
	lifecycle.Waker
	lifecycle.Registry
	lifecycle.Holder
	lifecycle.Recorder
	lifecycle.Catalog
	lifecycle.History
	lifecycle.Gauges
	lifecycle.Pruner
	queue.Store
	queue.Directory
	prewarm.Store
	workspaces.Committer
	Migrator
}

// Migrator prepares a database for its store. Every store is one, also one that has nothing to prepare, so that a host
// starts all of them alike.
type Migrator interface {
	// Migrate brings the tables to the version this store needs and returns nil if they already are. Replicas may call it
	// at the same time. Tables that this version of the library cannot work with because they are newer are an error that
	// says so; it is a [lifecycle.ErrUnavailable].
	Migrate(ctx context.Context) error
}

// FirstInstant and LastInstant are the range of the instants that every store keeps; what is beyond is kept as the end of it.
var FirstInstant, LastInstant = micros.First, micros.Last

// Instant brings an instant to the form that every store keeps and returns: UTC, whole microseconds, no monotonic reading,
// within the range. The zero time, which stands for "not set", stays the zero time.
func Instant(t time.Time) time.Time { return micros.Within(micros.Of(t)) }
