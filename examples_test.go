package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/simclock"
	"github.com/dormouse-go/dormouse/store/memory"
)

// morning is when the examples happen.
var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// example is a plane whose clock stands still, with a template.
func example() (*dormouse.Plane, dormouse.Template) {
	plane, err := dormouse.New(memory.New(), dormouse.Config{Clock: simclock.New(morning), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	template, err := plane.PutTemplate(context.Background(), dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{
		DefaultTTL: 8 * time.Hour, AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
	}})
	if err != nil {
		log.Fatal(err)
	}
	return plane, template
}

// A workspace with working hours, and what it says of itself.
func ExamplePlane_Create() {
	plane, template := example()
	ctx := context.Background()
	ws, err := plane.Create(ctx, dormouse.NewWorkspace{
		Template: template.ID, Owner: "ann", Name: "api", Hours: "Europe/Berlin Mon-Fri 09:00-18:00",
	}, dormouse.By("ann"))
	fmt.Println(ws.Name, "is", ws.Status, err)
	ws, err = plane.Start(ctx, ws.ID, dormouse.By("ann"), dormouse.Note("first day"))
	fmt.Println(ws.Name, "is", ws.Status, err)
	ws, err = plane.Start(ctx, ws.ID, dormouse.By("ann")) // a double click
	fmt.Println("build", ws.BuildNumber, err)
	// Output:
	// api is new <nil>
	// api is starting <nil>
	// build 1 <nil>
}

// A fleet that another scheduler has started is taken over without a build.
func ExamplePlane_Adopt() {
	plane, template := example()
	ws, err := plane.Adopt(context.Background(), dormouse.Adopted{
		Workspace: dormouse.NewWorkspace{ID: uuid.MustParse("00000000-0000-7000-8000-000000000001"), Template: template.ID, Owner: "ann", Name: "api"},
		Seen:      dormouse.Observation{Running: true, Since: morning.Add(-2 * time.Hour)},
	}, dormouse.By("importer"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ws.Name, "is", ws.Status, "and stops at", ws.Deadline.Format("15:04"))
	// Output: api is running and stops at 14:00
}

// What another policy would do is known before it is applied.
func ExamplePlane_Plan() {
	plane, template := example()
	ctx := context.Background()
	_, err := plane.Adopt(ctx, dormouse.Adopted{
		Workspace: dormouse.NewWorkspace{ID: uuid.MustParse("00000000-0000-7000-8000-000000000001"), Template: template.ID, Owner: "ann", Name: "api"},
		Seen:      dormouse.Observation{Running: true, Since: morning},
	})
	if err != nil {
		log.Fatal(err)
	}
	shorter := template.Policy
	shorter.DefaultTTL = 4 * time.Hour
	plan, err := plane.Plan(ctx, template.ID, dormouse.PolicyChange{Policy: shorter})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("workspaces", plan.Workspaces, "affected", plan.Affected)
	plan, err = plane.Apply(ctx, plan, nil, dormouse.By("ops"), dormouse.Note("costs"))
	fmt.Println("done", plan.Done, err)
	// Output:
	// workspaces 1 affected 0
	// done true <nil>
}

// In an incident nothing stops, sleeps or goes, and the reason is written down.
func ExamplePlane_HoldAll() {
	plane, template := example()
	ctx := context.Background()
	ws, err := plane.Create(ctx, dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "api"})
	if err != nil {
		log.Fatal(err)
	}
	err = plane.HoldAll(ctx, dormouse.Hold{Until: morning.Add(4 * time.Hour), Rules: lifecycle.HoldStops | lifecycle.HoldDeletion},
		dormouse.By("ops"), dormouse.Note("storage is being moved"))
	fmt.Println(err)
	why, err := plane.Explain(ctx, ws.ID)
	fmt.Println(why.Summary, err)
	// Output:
	// <nil>
	// api is new. Nothing will happen by itself. Engine held until Mon 2026-03-02 12:00:00 UTC: stops,deletion, by ops: "storage is being moved". <nil>
}

// Any error of the library is a problem document, with the field that is to be mended.
func ExampleProblemOf() {
	plane, _ := example()
	_, err := plane.PutTemplate(context.Background(), dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{TimeTilDormant: 5}})
	p := dormouse.ProblemOf(err)
	fmt.Println(p.Status, p.Field, "=", p.Value+":", p.Rule)
	_, err = plane.Get(context.Background(), uuid.Nil)
	fmt.Println(dormouse.ProblemOf(err).Status, errors.Is(err, lifecycle.ErrNotFound))
	// Output:
	// 422 Template.Policy.TimeTilDormant = 5ns: must be 0 (off) or at least 1m0s
	// 404 true
}

// A page of what runs, and the next one.
func ExamplePlane_List() {
	plane, template := example()
	ctx := context.Background()
	for _, name := range []string{"api", "web", "docs"} {
		if _, err := plane.Create(ctx, dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: name}); err != nil {
			log.Fatal(err)
		}
	}
	q := dormouse.ListQuery{Owner: "ann", Order: lifecycle.ListByName, Limit: 2}
	for {
		page, err := plane.List(ctx, q)
		if err != nil {
			log.Fatal(err)
		}
		for _, ws := range page {
			fmt.Println(ws.Name)
		}
		if len(page) < q.Limit {
			break
		}
		q = q.Following(page[len(page)-1])
	}
	// Output:
	// api
	// docs
	// web
}

// Why a workspace does what it does, and when it stops: what a page shows beside the button for one hour more.
func ExamplePlane_Explain() {
	plane, template := example()
	ctx := context.Background()
	ws, err := plane.Adopt(ctx, dormouse.Adopted{
		Workspace: dormouse.NewWorkspace{ID: uuid.MustParse("00000000-0000-7000-8000-000000000001"), Template: template.ID, Owner: "ann", Name: "api"},
		Seen:      dormouse.Observation{Running: true, Since: morning.Add(-2 * time.Hour)},
	})
	if err != nil {
		log.Fatal(err)
	}
	ws, err = plane.Extend(ctx, ws.ID, ws.Deadline.Add(time.Hour), dormouse.By("ann"))
	fmt.Println(ws.Deadline.Format("15:04"), ws.DeadlineFrom, err)
	why, err := plane.Explain(ctx, ws.ID)
	fmt.Println(why.Summary, err)
	// Output:
	// 15:00 moved <nil>
	// api is running. Next: it stops at its deadline, at Mon 2026-03-02 15:00:00 UTC (in 7h). <nil>
}
