package dormouse_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A process ends a job and dies before it has told the workspace. Who begins then, and who lives on, finds the build in
// minutes, not at the next sweep.
func TestBuildWhoseProcessDied(t *testing.T) {
	for name, beganBefore := range map[string]bool{"a plane begins then": false, "a plane lives on": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testBuildWhoseProcessDied(t, beganBefore) })
		})
	}
}

func testBuildWhoseProcessDied(t *testing.T, beganBefore bool) {
	s := memory.New()
	p, err := dormouse.New(s, dormouse.Config{Sweep: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	template, err := p.PutTemplate(t.Context(), dormouse.Template{Name: "go-dev"})
	must(err)
	w, err := p.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "api"})
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	run := func() { ran <- p.Run(ctx) }
	if beganBefore {
		go run()
		time.Sleep(5 * time.Hour)
	}

	dying := queue.Heartbeat{Process: uuid.New(), Now: time.Now(), Name: "dying"}
	_, err = s.Heartbeat(t.Context(), dying)
	must(err)
	w, err = p.Start(t.Context(), w.ID)
	must(err)
	if !beganBefore {
		go run()
	}
	time.Sleep(time.Second)
	jobs, err := s.Cancel(t.Context(), queue.Cancellation{IDs: []uuid.UUID{w.BuildID}, Now: time.Now()})
	must(err)
	if len(jobs) != 1 || jobs[0].State != queue.Canceled {
		t.Fatalf("the job ends as %v", jobs)
	}

	time.Sleep(5 * time.Minute)
	synctest.Wait()
	if w, err = p.Get(t.Context(), w.ID); err != nil || w.Status != lifecycle.StatusCanceled {
		t.Errorf("five minutes later the workspace is %v, %v", w.Status, err)
	}
	cancel()
	must(<-ran)
}
