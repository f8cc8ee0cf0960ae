package executor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
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
	e, _ := executor.New(s, executor.Config{Logger: quiet})
	started, _ := e.Update(ctx, w.ID, at9(lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)))
	_, _ = e.Update(ctx, w.ID, at9(lifecycle.JobEnded(lifecycle.JobResult{BuildID: started.Build.ID, Status: lifecycle.JobSucceeded})))
	return s, w.ID
}

// at9 calls a verb as if it were 9:00, so that the examples say the same every day.
func at9(v lifecycle.Verb) lifecycle.Verb {
	return func(s lifecycle.Snapshot, _ time.Time) (lifecycle.Change, error) {
		return v(s, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	}
}

// A process that answers people and never ticks.
func ExampleClient() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	client, err := executor.NewClient(store, executor.ClientConfig{Topics: []lifecycle.Topic{lifecycle.TopicAudit}})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := client.Update(ctx, id, at9(lifecycle.SetHold(lifecycle.Hold{Until: time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)})))
	fmt.Println("held until", s.Workspace.Hold.Until.Format(time.DateOnly), err)
	// Output: held until 2026-03-06 <nil>
}

// A process that ticks. Run returns nil when its context ends; here the host ends it by closing its channel of ticks.
func ExampleExecutor() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	ticks, stats := make(chan time.Time), make(chan executor.Stats, 1)
	engine, err := executor.New(store, executor.Config{
		Logger: quiet,
		Tick:   ticks, StatsC: stats,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		defer close(ticks)
		ticks <- time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	}()
	err = engine.Run(ctx)
	for _, transition := range (<-stats).Transitions {
		fmt.Println("queued a", transition)
	}
	fmt.Println(err)
	// Output:
	// queued a stop
	// <nil>
}

// A host that schedules its own ticks. Run would do them all.
func ExampleExecutor_Tick() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, err := executor.New(store, executor.Config{Logger: quiet})
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

// A builder checks each build and describes its job.
func ExampleBuilder() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, _ := executor.New(store, executor.Config{
		Logger: quiet,
		Builder: executor.BuilderFunc(func(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
			if r.Build.Transition == lifecycle.TransitionStart {
				return executor.BuildSpec{}, executor.Refuse("no quota left")
			}
			return executor.BuildSpec{Tags: map[string]string{"region": "eu"}, Priority: 1}, nil
		}),
	})
	stats := engine.Tick(ctx, time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC))
	fmt.Println(len(stats.Transitions), "queued,", len(stats.Skipped), "skipped")
	// Output: 1 queued, 0 skipped
}

// A policy is planned before it is applied.
func ExampleClient_Plan() {
	ctx := context.Background()
	store, id := exampleStore(ctx)
	client, _ := executor.NewClient(store, executor.ClientConfig{})
	s, _ := client.Load(ctx, id)
	policy := s.Template.Policy
	policy.TimeTilDormant = 7 * 24 * time.Hour
	plan, err := client.Plan(ctx, s.Template.ID, lifecycle.PolicyChange{Policy: policy, PolicyTerms: lifecycle.PolicyTerms{ResetLastUsed: true}})
	fmt.Println(plan.Workspaces, "workspace,", plan.Shifts[lifecycle.RuleDormancy].Begins, "would go dormant some day,",
		plan.Shifts[lifecycle.RuleDormancy].Immediate, "within the hour,", err)
	plan, err = client.Apply(ctx, plan, nil)
	fmt.Println(plan.Done, err)
	// Output:
	// 1 workspace, 1 would go dormant some day, 0 within the hour, <nil>
	// true <nil>
}

// Events are written with the change they report and delivered after its commit.
func ExampleExecutor_Relay() {
	ctx := context.Background()
	store, _ := exampleStore(ctx)
	engine, _ := executor.New(store, executor.Config{
		Logger: quiet,
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
