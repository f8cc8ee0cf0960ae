package buildjobs_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// The engines without package dormouse: a workspace is started, and its build carried out by a worker of the same process.
func Example() {
	store, quiet := memory.New(), slog.New(slog.DiscardHandler)
	organization := uuid.New()
	ctx, stop := context.WithCancel(context.Background())
	build := func(_ context.Context, _ *worker.Task, b lifecycle.Job) error {
		fmt.Println(b.Transition)
		stop() // the example ends with its first build
		return nil
	}

	var ends buildjobs.Ends
	jobs, err := acquirer.New(store, nil, acquirer.Config{Events: ends.Event, Logger: quiet})
	must(err)
	engine, err := executor.New(store, executor.Config{Queued: buildjobs.Announce(jobs), Logger: quiet})
	must(err)
	w, err := worker.New(jobs, buildjobs.Handler(engine, build, buildjobs.Config{}), worker.Config{
		Organization: organization, Types: []string{lifecycle.JobType}, Logger: quiet,
	})
	must(err)

	now := time.Now()
	template := lifecycle.Template{ID: uuid.New(), OrganizationID: organization, Name: "go-dev", ActiveVersionID: uuid.New()}
	owner := lifecycle.Owner{ID: uuid.New(), Name: "ann"}
	ws := lifecycle.NewWorkspace(uuid.Must(uuid.NewV7()), template, owner.ID, "api", now)
	must(store.PutTemplate(ctx, now, template))
	must(store.PutOwner(ctx, now, owner))
	must(store.CreateWorkspaces(ctx, now, ws))
	_, err = engine.Update(ctx, ws.ID, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	must(err)

	// The worker ends first: until then it has to tell the others how its last build ended.
	serving, end := context.WithCancel(context.Background())
	var others errgroup.Group
	others.Go(func() error { return jobs.Run(serving) })
	others.Go(func() error { return engine.Run(serving) })
	others.Go(func() error { return ends.Run(serving, engine, nil) })
	must(w.Run(ctx))
	end()
	must(others.Wait())

	s, err := engine.Load(context.Background(), ws.ID)
	must(err)
	fmt.Println(s.Workspace.Name, "is", s.Status())
	// Output:
	// start
	// api is running
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
