package dormouse_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	plane, err := dormouse.New(memory.New(), dormouse.Config{ // or sqlite.New(db, ..), postgres.New(pool, ..)
		Build: func(ctx context.Context, b *dormouse.Build) error { // may be repeated: bear it
			fmt.Fprintln(b.Log, "making it so")
			fmt.Println(b.Transition, b.Workspace.Name)
			return nil
		},
		Notify: func(ctx context.Context, n dormouse.Notice) error { return mail(n.Owner, n.Text) },
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := plane.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- plane.Run(ctx) }() // ticks, hands out, builds, delivers; returns when ctx ends

	template, err := plane.PutTemplate(ctx, dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{
		DefaultTTL: 8 * time.Hour, AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
	}})
	if err != nil {
		log.Fatal(err)
	}
	ws, err := plane.Create(ctx, dormouse.NewWorkspace{
		Template: template.ID, Owner: "ann", Name: "api", Hours: "Europe/Berlin Mon-Fri 09:00-18:00",
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := plane.Start(ctx, ws.ID, dormouse.By("ann"), dormouse.Note("before the demo")); err != nil {
		log.Fatal(err)
	}
	for ws.Deadline.IsZero() { // a server does not wait: pages show ws.Status
		time.Sleep(10 * time.Millisecond)
		if ws, err = plane.Get(ctx, ws.ID); err != nil {
			log.Fatal(err)
		}
	}
	why, err := plane.Explain(ctx, ws.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ws.Name, "is", ws.Status, "and next:", why.Next)
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// start api
	// api is running and next: autostop
}

func mail(owner, text string) error { return nil }
