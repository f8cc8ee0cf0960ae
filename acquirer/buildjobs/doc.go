// Package buildjobs joins package lifecycle and package acquirer: the jobs that carry out builds. Neither knows the other;
// a host that uses both writes these few lines only once, here.
//
//	jobs, err := acquirer.New(store, pubsub, acquirer.Config{Events: ends.Event})
//	engine, err := lifecycle.New(store, lifecycle.Config{Queued: buildjobs.Announce(jobs)})
//	worker, err := acquirer.NewWorker(jobs, buildjobs.Handler(engine, build, buildjobs.Config{}), acquirer.WorkerConfig{
//		Types: []string{lifecycle.JobType},
//	})
//
// # What it guarantees
//
// A build's end reaches its workspace, although build and job end in two commits: [Handler] tells the workspace first and
// the queue after it, so that a process that dies in between leaves a job that is handed out again and finds its build
// ended. A job that ends without a handler (its worker was lost and it may not be repeated, or nobody could ever run it) is
// told by [Ends]; and [Sweep] finds what every one of them missed.
//
// # What it does not do
//
// It does not make builds repeatable. A build whose worker was lost is run again if the acquirer's policy says so; whoever
// cannot repeat one chooses [acquirer.FailLost] for [lifecycle.JobType].
package buildjobs
