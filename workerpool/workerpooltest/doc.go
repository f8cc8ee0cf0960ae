// Package workerpooltest is a provider, its workers and a queue for tests of a host's worker pool: everything happens in
// memory and on a clock of the test's, and everything that goes wrong with real ones can be made to go wrong here.
//
// In a testing/synctest bubble the default clock is the bubble's, so that days pass in milliseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		provider := workerpooltest.NewProvider(nil)
//		queue := workerpooltest.NewQueue(nil)
//		pool, err := workerpool.New(provider, provider, queue, workerpool.Config{Limits: limits})
//		go pool.Run(ctx)
//		queue.Add(workerpool.Job{ID: "a"})
//		pool.Wake()
//		time.Sleep(time.Hour)
//		// provider.Runs("a") == 1, len(provider.Instances()) == 0
//	})
//
// The provider and the queue also watch: [Provider.Violations] and [Queue.Violations] list what must never happen, such as
// a job that ran on two workers at once.
package workerpooltest
