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
//     cannot be reached, or was closed, the error wraps [lifecycle.ErrUnavailable] and names the file and the cause: a full disk, a
//     quota, a file that cannot be written, a lock that somebody holds. When that is over, all goes on without a new process.
//   - A file that was deleted, replaced by another or emptied while it was open is read and written no more, since nobody would
//     find what is in it, until it is put back or the process begins anew; and written no more if one of the files beside it was
//     deleted (-wal or -shm), until all processes have ended in order and begun anew. SQLite itself does not notice it. Nor
//     does anybody notice that another database was copied into the file, or that a link leads elsewhere: do neither while it is open.
//   - A new policy or a suspended owner outdates every decision at once and in one write; the wakes of the workspaces
//     follow in short transactions, which the next reader of what is due completes should the writer die among them.
//
// It needs a database in UTF-8, in which names are ordered and found as in other stores, and any journal but OFF. Others it refuses.
//
// What it does not do: it starts no goroutine, reads no clock for what it stores, divides nothing among replicas, and
// notifies watchers only of what its own process wrote. A file on a network share has no writer that is safe.
//
// # One writer at a time
//
// SQLite has one writer at a time, so whoever commits keeps all others waiting. Commits of few changes are slow together,
// because each is synced and writes the pages that they have in common again; commits of many are long. The store asks
// the executor to make them of 500 ([Store.BatchSize]), with which a tick of 10,000 transitions takes about half a second
// and a worker of the same process that claims or ends a job meanwhile waits for some 30 milliseconds, seldom 60. A host
// that wants it otherwise sets lifecycle.Config.BatchSize: with 100 a tick takes a third longer and others wait a third as
// long. With [Open]'s settings the write-ahead log grows to 80 MB before it is moved into the file.
//
// Writers of one process are served in turn. Those of several are not, as SQLite keeps no line between processes: one that
// meets a tick of another gets in between two commits if it is lucky and after the tick if not. So Config.BusyTimeout
// should be longer than the longest tick.
//
// Several executors may tick one file, in one process or in several: every transition is made once. They all look at the
// same rows, though, and one waits while another writes, so it makes nothing faster. There is no division into shares: each
// replica would have to write and sync that it is there at every tick, also when nothing is due, to save reading. Better
// let one process run the executor, and others use the file.
//
// # Schema
//
// The tables carry Config.Prefix and may stand in a host's own database. [Store.Migrate] brings them to the version the
// store needs (see package store/migrate). A host that runs migrations with a tool of its own finds the
// files in [Migrations]; each records its own number, so Migrate and the tool agree.
package sqlite
