package workerpool_test

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
)

// A plan is a function: what waits, what is there and what is allowed go in, and what to do comes out, with its reasons.
func ExamplePlan() {
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	limits := workerpool.Limits{
		Types: []workerpool.InstanceType{
			{Name: "small", Price: 0.10, Room: workerpool.Resources{Slots: 1, CPU: 2000}},
			{Name: "large", Price: 0.35, Room: workerpool.Resources{Slots: 4, CPU: 8000}},
		},
		MaxWorkers: 4, IdleTimeout: 5 * time.Minute, PriceFactor: 4,
	}
	workers := []workerpool.Worker{
		{ID: "i-1", Type: "large", State: workerpool.Idle, IdleSince: now.Add(-time.Minute)},
		{ID: "i-2", Type: "small", State: workerpool.Idle, IdleSince: now.Add(-10 * time.Minute)},
	}
	jobs := []workerpool.Job{
		{ID: "render", Since: now.Add(-time.Minute), Needs: workerpool.Resources{CPU: 6000}},
		{ID: "train", Since: now, Needs: workerpool.Resources{GPUs: 1}},
		{ID: "build", Since: now, Needs: workerpool.Resources{CPU: 7000}},
	}
	plan := workerpool.Plan(jobs, workers, limits, now)
	for _, s := range plan.Starts {
		fmt.Printf("start %s on %s\n", jobs[s.Job].ID, workers[s.Worker].ID)
	}
	for i, c := range plan.Creates {
		fmt.Printf("create a worker of type %s because of %q\n", c.Type, c.Reason)
		for _, r := range plan.Reservations {
			if r.Create == i {
				fmt.Printf("  for %s\n", jobs[r.Job].ID)
			}
		}
	}
	for _, w := range plan.Waits {
		fmt.Printf("%s waits because of %q\n", jobs[w.Job].ID, w.Reason)
	}
	for _, s := range plan.Shutdowns {
		fmt.Printf("shut down %s because of %q\n", workers[s.Worker].ID, s.Reason)
	}
	// Output:
	// start render on i-1
	// create a worker of type large because of "job"
	//   for build
	// train waits because of "no_type"
	// shut down i-2 because of "idle"
}
