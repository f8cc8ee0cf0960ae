package lifecycle_test

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// exampleStore is a store with one workspace that runs until 18:00 on Monday 2 March 2026.
func exampleStore(ctx context.Context) (*memory.Store, uuid.UUID) {
	s := memory.New()
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	template := lifecycle.Template{ID: uuid.New(), ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, ActivityBump: time.Hour,
	}}
	owner := lifecycle.Owner{ID: uuid.New(), Name: "ann"}
	autostart, _ := schedule.Weekly("CRON_TZ=UTC 30 8 * * 1-5")
	w := lifecycle.Workspace{
		ID: uuid.New(), OwnerID: owner.ID, TemplateID: template.ID, Name: "dev", CreatedAt: nine, TTL: 9 * time.Hour, Autostart: autostart,
	}
	_ = s.PutTemplate(ctx, nine, template)
	_ = s.PutOwner(ctx, nine, owner)
	_ = s.CreateWorkspaces(ctx, nine, w)
	clock := quartz.NewReal()
	e, _ := lifecycle.New(s, lifecycle.Config{Clock: clock})
	_, _ = e.Update(ctx, w.ID, at9(lifecycle.Request(lifecycle.TransitionStart, uuid.Nil)))
	_, _ = e.Update(ctx, w.ID, at9(lifecycle.JobEnded(lifecycle.JobResult{BuildNumber: 1, Status: lifecycle.JobSucceeded})))
	return s, w.ID
}

// at9 calls a verb as if it were 9:00, so that the examples say the same every day.
func at9(v lifecycle.Verb) lifecycle.Verb {
	return func(s lifecycle.Snapshot, _ time.Time) (lifecycle.Change, error) {
		return v(s, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	}
}

// An executor over the store in memory: one call for one tick, or Run for all of them.
func Example() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, err := lifecycle.New(store, lifecycle.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	stats := engine.Tick(ctx, time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC))
	for _, transition := range stats.Transitions {
		fmt.Println("queued a", transition)
	}
	// Output: queued a stop
}

// The pure core alone: what is due, and when that could change.
func ExampleDecide() {
	deadline := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{Name: "dev"},
		Build: lifecycle.Build{
			Number: 1, Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded, Deadline: deadline,
		},
	}
	d := lifecycle.Decide(s, deadline.Add(-time.Minute))
	fmt.Println(d.Acts(), lifecycle.NextWake(s, deadline.Add(-time.Minute)).Format(time.TimeOnly))
	d = lifecycle.Decide(s, deadline)
	fmt.Println(d.Acts(), d.Transition, d.Reason)
	// Output:
	// false 18:00:00
	// true stop autostop
}

// Every rule, with what it compares and when it acts.
func ExampleExplain() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	found, _ := store.Load(ctx, id)
	fmt.Print(lifecycle.Explain(found[0], time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)))
	// Output:
	// dev is running. Next: it stops at its deadline, at Mon 2026-03-02 18:00:00 UTC (in 6h).
	//   autostop       waits  now Mon 2026-03-02 12:00:00 UTC is 6h before the deadline Mon 2026-03-02 18:00:00 UTC;  acts at Mon 2026-03-02 18:00:00 UTC
	//   autostart      off    8:30AM Mon-Fri (UTC);  the workspace is not stopped
	//   failed_cleanup off    last build: start succeeded; failure ttl 0;  the policy does not ask for it
	//   dormancy       off    unused for 3h (since Mon 2026-03-02 09:00:00 UTC);  the policy does not ask for it
	//   autodelete     off    deletion not set;  the policy does not ask for it
	//   extend         off    the policy does not ask for it
	//   reminder       off    reminder lead 0;  the policy does not ask for it
}

// Its owner wants more time.
func ExampleExtend() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	engine, _ := lifecycle.New(store, lifecycle.Config{})
	s, err := engine.Update(ctx, id, at9(lifecycle.Extend(time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC))))
	fmt.Println(s.Build.Deadline.Format(time.TimeOnly), err)
	_, err = engine.Update(ctx, id, at9(lifecycle.Extend(time.Date(2026, 3, 2, 9, 10, 0, 0, time.UTC))))
	fmt.Println(err)
	// Output:
	// 20:00:00 <nil>
	// new deadline "2026-03-02T09:10:00Z": must be at least 29m0s from now, 2026-03-02T09:29:00Z
}

// Nothing happens by itself while a workspace is held.
func ExampleHold() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	engine, _ := lifecycle.New(store, lifecycle.Config{})
	s, _ := engine.Update(ctx, id, at9(lifecycle.Hold(time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC))))
	fmt.Println(lifecycle.Explain(s, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)).Summary)
	// Output: dev is running. Next: it stops at its deadline, at Mon 2026-03-09 00:00:00 UTC (in 6d). Held until Mon 2026-03-09 00:00:00 UTC.
}

// A builder that prepares what all builds of a template version share, once for each tick.
func ExampleBuilder() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, _ := lifecycle.New(store, lifecycle.Config{
		Builder: lifecycle.BuilderFunc(func(_ context.Context, r lifecycle.BuildRequest) (lifecycle.BuildSpec, error) {
			if r.Build.Transition == lifecycle.TransitionStart {
				return lifecycle.BuildSpec{}, lifecycle.Refuse("no quota left")
			}
			return lifecycle.BuildSpec{Tags: map[string]string{"region": "eu"}, Priority: 1}, nil
		}),
	})
	stats := engine.Tick(ctx, time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC))
	fmt.Println(len(stats.Transitions), "queued,", len(stats.Skipped), "skipped")
	// Output: 1 queued, 0 skipped
}

// A policy is planned before it is applied.
func ExampleExecutor_Plan() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	engine, _ := lifecycle.New(store, lifecycle.Config{})
	s, _ := engine.Load(ctx, id)
	policy := s.Template.Policy
	policy.TimeTilDormant = 7 * 24 * time.Hour
	plan, err := engine.Plan(ctx, s.Template.ID, lifecycle.PolicyChange{Policy: policy, ResetLastUsed: true})
	fmt.Println(plan.Workspaces, "workspace,", plan.Shifts[lifecycle.RuleDormancy].Begins, "would go dormant some day,",
		plan.Shifts[lifecycle.RuleDormancy].Immediate, "within the hour,", err)
	plan, err = engine.Apply(ctx, plan, nil)
	fmt.Println(plan.Done, err)
	// Output:
	// 1 workspace, 1 would go dormant some day, 0 within the hour, <nil>
	// true <nil>
}

// Notices are written with the change they tell of and delivered after it.
func ExampleExecutor_Relay() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, _ := lifecycle.New(store, lifecycle.Config{
		Auditor: func(_ context.Context, e lifecycle.Event) error {
			fmt.Println(e.Kind, e.Transition, e.Reason, "due", e.DueAt.Format(time.TimeOnly))
			return nil
		},
	})
	engine.Tick(ctx, time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC))
	n, err := engine.Relay(ctx)
	fmt.Println(n, err)
	// Output:
	// build.queued stop autostop due 18:00:00
	// 1 <nil>
}
