// Package buildjobs joins package lifecycle and package acquirer: the jobs that carry out builds. Neither knows the other.
//
//	var ends buildjobs.Ends
//	jobs, err := acquirer.New(store, pubsub, acquirer.Config{Events: ends.Event})
//	engine, err := executor.New(store, executor.Config{Queued: buildjobs.Announce(jobs)})
//	w, err := worker.New(jobs, buildjobs.Handler(engine, build, buildjobs.Config{}), worker.Config{
//		Organization: organization, // that of the templates: jobs of another one are never seen
//		Types:        []string{lifecycle.JobType},
//	})
//	// and run all of them: jobs.Run, engine.Run, w.Run, ends.Run; buildjobs.Sweep now and then
//
// # What it guarantees
//
// A build's end reaches its workspace, although build and job end in two commits: [Handler] writes the workspace first and
// the queue after it, so that a process that dies in between leaves a job that is handed out again and finds its build
// ended. [Ends] takes care of a job that ends without a handler (its worker was lost and it may not be repeated, or nobody
// could ever run it), and [Sweep] finds what every one of them missed.
//
// # For authors of stores
//
// [PostingOf] and [JobOf] turn a build's job into a row of the queue, [BuildOf] reads it back. They are the one codec: every
// store uses them, so that a worker understands the jobs of all.
//
// # What it does not do
//
// It does not make builds repeatable. A build whose worker was lost runs again if the acquirer's policy says so; a host that
// cannot repeat builds chooses acquirer.FailLost for [lifecycle.JobType].
package buildjobs
