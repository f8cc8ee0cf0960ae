// Package postgres keeps everything Dormouse stores in PostgreSQL, 13 or later: [Store] is a [store.Store] for any number
// of replicas, and [Pubsub] carries announcements between them over LISTEN/NOTIFY.
//
//	pool, err := pgxpool.New(ctx, dsn)
//	...
//	s, err := postgres.New(pool, postgres.Config{})
//	...
//	err = s.Migrate(ctx)
//
// # What it guarantees
//
//   - The pool is the host's: nothing is set on its connections, nothing depends on their search path, isolation, time zone or
//     timeouts, and the tables live in a schema of their own, so they may be part of the host's database. Row level security that
//     applies to the role is an error: what is hidden would look as if it were not there.
//   - A batch of changes is one statement, hence one round trip and one transaction. It locks the workspaces in the order
//     of their ids before it writes any, so batches that overlap wait for each other instead of dying in a deadlock, and
//     applies those whose revision is still the one the change was computed from.
//   - Reading what is due walks one partial index. Its cost is the number of due workspaces, not of those that exist.
//   - Serialization failures, deadlocks and dropped connections are tried again, for a second or two and never beyond the
//     caller's context. A commit whose answer was lost is recognized when it is repeated. A database that stays out of
//     reach is a [lifecycle.ErrUnavailable].
//   - No clock is read where it matters for a decision: every instant comes from the caller.
//
// # What it does not do
//
// It starts no goroutine except inside calls that block (Listen, WatchWakes), needs no superuser and no extension, and
// takes no advisory lock, apart from Migrate and from claims that have running limits. It works through a pooler of
// transactions, except WatchWakes and [Pubsub], which Config.Direct leads past it; behind one that knows no prepared
// statements set DefaultQueryExecMode of the pool's connections to cache_describe.
package postgres
