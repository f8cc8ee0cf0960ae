// Package acquirer hands jobs to workers: each job to exactly one able worker, at once, fairly, and at the
// cost of one batched statement.
//
// A worker blocks in [Acquirer.AcquireJob] until a job that it can run is its own. Workers who could run
// exactly the same jobs form a [queue.Domain]; a domain asks the [queue.Store] with one claim at a time, for as many
// jobs as it has workers waiting, and hands them out first come, first served. Idle workers ask nothing.
//
// # What it guarantees
//
//   - No lost wake-up. Ready jobs stand in lanes ([queue.Lane]); a lane is dirty when something may stand in it
//     that no claim has seen. While a lane is dirty and an able worker waits, a claim on that lane is in
//     flight or queued. The mark belongs to the lane, never to a worker or a domain, and a claim clears it
//     only as far as it had risen when the claim began. So a worker that leaves, a claim that fails, a race
//     that is lost or a domain that vanishes has nothing to lose.
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
// # What it does not do
//
// It does not run anything by itself ([worker.Worker] does, for hosts that want it), does not know what a job
// means, does not speak HTTP, and does not deliver exactly once beyond the fence: a worker that was
// presumed dead may still be at work outside, and only its reports are refused.
//
// # Whose context is whose
//
// The context of AcquireJob bounds the waiting and nothing else. Claims run on the context of [Acquirer.Run].
// What must still be written while Run stops (jobs claimed but not handed out are given back) has a deadline
// of its own.
package acquirer
