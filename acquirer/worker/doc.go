// Package worker runs jobs: it waits for them, calls a handler, keeps their leases, sends progress and log lines, and
// reports how they ended. A worker links no engine and no store, so it also suits a program of its own that speaks to an
// acquirer over a network (see [Source]).
//
// # What it guarantees
//
//   - A job runs in at most [Config.Slots] handlers at once, each in a goroutine that runs no other job meanwhile: an error,
//     a panic or runtime.Goexit ends the job, never the worker.
//   - At most Slots jobs are begun and not ended in the store, or [Config.Ending] more where the host wants that: so many a
//     process that dies may repeat, and no more. A job whose lease is lost, or whose worker has to assume so because no report
//     arrives, counts no longer: its slot takes the next one, though the store may learn of it later.
//   - With a source in another process, a handler is called when a first report has arrived: however long the answer of
//     AcquireJob took, the job was still ours then.
//   - A handler's context ends before somebody else may have its job: at once if the source is in the same process, and
//     after three quarters of [Config.Silence] without a report that arrived if it is not.
//   - Lines and progress that could not be sent are kept, in order, and sent later; beyond 10,000 lines or 4 MiB of a
//     job the oldest are dropped, and the log says how many.
//   - When the worker stops, jobs get [Config.Drain] to end by themselves; those that do not go back into line.
//
// # What it does not do
//
// It does not make work repeatable. A worker that was presumed lost may still be at work while another has the job; only
// its reports are refused. It does not limit what a handler uses, and it cannot stop one that ignores its context.
package worker
