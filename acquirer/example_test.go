package acquirer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A process hands jobs to workers that wait for them.
func ExampleAcquirer() {
	a, err := acquirer.New(memory.NewJobs(), nil, acquirer.Config{})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()

	organization := uuid.New()
	jobs, err := a.Enqueue(ctx, queue.Posting{
		Organization: organization, Type: "build", Tags: map[string]string{"os": "linux"}, Payload: []byte("hello"),
	})
	if err != nil {
		panic(err)
	}
	job, err := a.AcquireJob(ctx, queue.Request{
		Organization: organization, Worker: uuid.New(),
		Types: []string{"build"}, Tags: map[string]string{"os": "linux", "zone": "eu"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(job.ID == jobs[0].ID, job.State, string(job.Payload))

	ended, err := a.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded, Result: []byte("done")})
	if err != nil {
		panic(err)
	}
	fmt.Println(ended.State)
	stop()
	<-done
	// Output:
	// true running hello
	// succeeded
}

// A worker takes care of waiting, reporting, cancellation and draining.
func ExampleWorker() {
	a, err := acquirer.New(memory.NewJobs(), nil, acquirer.Config{})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	running := make(chan error)
	go func() { running <- a.Run(ctx) }()

	finished := make(chan struct{})
	worker, err := worker.New(a, func(_ context.Context, t *worker.Task) ([]byte, error) {
		defer close(finished)
		t.Progress(50, "half way")
		fmt.Printf("working on %s\n", t.Job.Payload)
		return nil, nil
	}, worker.Config{Types: []string{"build"}, Slots: 4})
	if err != nil {
		panic(err)
	}
	working := make(chan error)
	go func() { working <- worker.Run(ctx) }()

	if _, err := a.Enqueue(ctx, queue.Posting{Type: "build", Payload: []byte("a house")}); err != nil {
		panic(err)
	}
	<-finished
	stop()
	<-working // first the workers, then what they work for
	<-running
	// Output: working on a house
}

// What keeps a worker from a job is said in words.
func ExampleCompare() {
	worker, _ := queue.NewTagSet(map[string]string{"os": "linux", "zone": "us"})
	job, _ := queue.NewTagSet(map[string]string{"gpu": "yes", "zone": "eu"})
	fmt.Println(queue.Compare(worker, job))
	// Output: lacks gpu=yes; has zone "us" where the job wants "eu"
}
