// Package sqlite is a store in an SQLite file: for hosts of one machine that want their workspaces, jobs and events to
// outlive the process without a database server. It is a whole [store.Store], over any driver:
//
//	db, err := sqlite.Open("sqlite", "/var/lib/app/dormouse.db")
//	...
//	s, err := sqlite.New(db, sqlite.Config{})
//	...
//	err = s.Migrate(ctx)
//
// What it guarantees:
//
//   - Each call is one transaction that takes the write lock at its beginning, so nothing it reads is outdated when it
//     writes, and two calls have the effect of one after the other, also from different processes on the same file.
//   - What a call has acknowledged survives the end of the process at any instant, and with [Open]'s settings that of
//     the machine.
//   - Waiting for another process ends with the call's context, or after Config.BusyTimeout. Then, and when the file
//     cannot be reached, or was closed, the error wraps [lifecycle.ErrUnavailable].
//   - A new policy or a suspended owner outdates every decision at once and in one write; the wakes of the workspaces
//     follow in short transactions, which the next reader of what is due completes should the writer die among them.
//
// What it does not do: it starts no goroutine, reads no clock for what it stores, divides nothing among replicas, and
// tells watchers only of what its own process wrote. SQLite has one writer at a time; a file on a network share has none
// that is safe. The tag sets of jobs are interned and kept for ever, at some hundred bytes each.
//
// # Schema
//
// The tables carry Config.Prefix and may stand in a host's own database. [Store.Migrate] brings them to the version the
// store needs. A host that runs migrations with a tool of its own finds the files in [Migrations], in the format of
// goose, which most tools read; each records its own number, so Migrate and the tool agree. The migrator is our own
// dozen of lines, not goose's: applying all that is missing in one transaction that holds the write lock is all the
// locking that SQLite needs, and the prefix has to be put in before a tool sees the files.
package sqlite
