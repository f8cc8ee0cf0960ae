// Package acquirer hands jobs to workers: each job to exactly one able worker, at once, fairly, and at the
// cost of one batched statement.
//
// # For hosts
//
// Make one [Acquirer] for each process and store, and call [Acquirer.Run]. Post with [Acquirer.Enqueue], or store jobs in a
// commit of your own and call [Acquirer.Announce] after it. A worker blocks in [Acquirer.AcquireJob] until a job that it can
// run is its own, reports with [Acquirer.Renew] and ends it with [Acquirer.End]; package worker does all of that for a
// handler. Idle workers ask the store nothing.
//
// It guarantees:
//
//   - No lost wake-up. While a job is ready and an able worker waits, a claim for it is in flight or queued, in this process
//     or, for some milliseconds, left to another one. A worker that leaves, a claim that fails, a race that is lost or a
//     message that never arrives loses nothing. (The rule and its proof by test are in internal/dispatch.)
//   - One rule. [queue.Compare] decides whether a worker's tags fit a job's; waking, claiming, the queue position
//     and the explanation all use it.
//   - One live lease per job. Every claim raises the job's fencing number, and whoever ends, renews or
//     reports must present it ([queue.Lease]). A process that cannot reach the store stops its own jobs before
//     another process may requeue them; that judgement compares no two machines' clocks.
//   - A lost answer loses no job. A claim carries a token, and a claim whose outcome is unknown is looked up
//     by it.
//   - Fairness. At one priority the tenants of an organization take turns; running limits cannot be
//     exceeded by concurrent claims.
//
// It does not run anything by itself, does not know what a job means, does not speak HTTP, and does not deliver exactly
// once beyond the fence: a worker that was presumed lost may still be at work outside, and only its reports are refused.
//
// The context of AcquireJob bounds the waiting and nothing else. Claims run on the context of [Acquirer.Run].
// What must still be written while Run stops (jobs claimed but not handed out are given back) has a deadline
// of its own.
//
// # For authors of stores
//
// Implement [queue.Store], and [queue.Pubsub] if the database can carry messages; package queue has the contracts.
// Workers who could run exactly the same jobs form a [queue.Domain]; a domain asks the store with one claim at a time, for at
// most as many jobs as it has workers waiting: for a few more than other processes announced, or where nobody has counted them,
// for that many. A process has four claims and listings in flight at most, beside four of those that failed the last time: one that
// failed at once, one that has lately taken long, and two that hang.
//
// # For operators
//
//   - A process that is killed keeps its jobs for [Config.Lease]; then a live one asks the [LostPolicy] about each. A host
//     of a single process can say so ([Config.Alone]) and need not wait. A process that stops in good order leaves the
//     register at once.
//   - [Acquirer.Explain] says why a job is not running: what is ahead of it, who could run it, or what the nearest worker
//     lacks. [queue.EventUnmatched] says so unasked, once, when nobody can run a job.
//   - [Acquirer.List], [Acquirer.Count], [Acquirer.Pause], [Acquirer.Retry] and [Acquirer.Cancel] are for people who look after a
//     queue; docs/operations.md says what each does and does not do. [Config.RunLimits] keeps a handler that hangs from holding
//     its job for ever.
//   - The label "wake" of jobs_acquired_total says how jobs were found. Should "poll" be more than a rarity with a Pubsub,
//     announcements do not arrive; [Stats].Hearing says whether they do now, notify_reconnects_total how often they stopped.
//   - Errors of the store are logged at Warn and counted in job_store_errors_total; the pauses between attempts grow from
//     50 milliseconds to 10 seconds. Leases lost are logged at Error.
package acquirer
