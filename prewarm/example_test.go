package prewarm_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/memory"
)

func ExamplePool() {
	pool, err := prewarm.New(memory.NewMembers(), prewarmtest.New(nil), prewarm.Config{
		Spec: prewarm.Spec{Name: "go-dev", Version: "v1", Floor: 2},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()

	h, err := pool.Claim(ctx, prewarm.Request{Owner: "ann", Key: "request-1", IfEmpty: prewarm.Wait})
	fmt.Println(h.Member.State, h.Member.Claim.Owner, err)
	again, err := pool.Claim(ctx, prewarm.Request{Owner: "ann", Key: "request-1"})
	fmt.Println(again.Source, again.Member.ID == h.Member.ID, err)
	fmt.Println(pool.Return(ctx, h.Member.ID))

	stop()
	fmt.Println(<-ended)
	// Output:
	// claimed ann <nil>
	// repeated true <nil>
	// <nil>
	// <nil>
}

func ExamplePlan() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	spec := prewarm.Spec{Name: "go-dev", Version: "v1", Floor: 3}
	members := []prewarm.Member{prewarm.NewMember(spec, [16]byte{1}, prewarm.ReasonBelowTarget, now)}
	for _, a := range prewarm.Plan(spec, members, prewarm.Failures{}, now).Actions {
		fmt.Println(a.Kind, a.Reason)
	}
	// Output:
	// create below_target
	// create below_target
}

func ExampleSizeFor() {
	// 60 claims an hour, members take 2 minutes to build, and 95 of 100 claims shall find one.
	fmt.Println(prewarm.SizeFor(60, 2*time.Minute, 0.95))
	// Output: 6
}

func ExampleExplain() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	spec := prewarm.Spec{Name: "go-dev", Version: "v1", Floor: 3}
	var failures prewarm.Failures
	failures = failures.Failed("v1", "image not found", now, now)
	fmt.Println(prewarm.Explain(spec, nil, failures, now.Add(4*time.Second)))
	// Output:
	// go-dev: 0 ready, 0 starting, 0 held, 0 cleaning; 3 wanted: floor 3, schedule 0, demand 0, reserves 0, waiting 0
	// 0 claimed, 0 built for one claim, 0 of an old version, 0 in quarantine, 0 being destroyed
	// nothing is created for 6s, after a failure with "image not found"
}
