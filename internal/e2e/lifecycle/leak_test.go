package lifecycle_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// On the real clock too a precise Run meets a deadline, for which it does not wait for its next tick, and leaves no goroutine
// behind. (That it does so within 50 ms is checked in bubbles of time, where the machine cannot be busy.)
func TestRunOnTheRealClock(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	store := memory.New()
	now := time.Now().UTC().Truncate(us)
	template := lifecycle.Template{ID: id(0xff), ActiveVersionID: id(0xa1)}
	w := lifecycle.Workspace{ID: id(1), OwnerID: id(0xee), TemplateID: template.ID, CreatedAt: now}
	for _, err := range []error{
		store.PutTemplate(ctx, now, template), store.PutOwner(ctx, now, lifecycle.Owner{ID: id(0xee)}), store.CreateWorkspaces(ctx, now, w),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	end := now.Add(300 * time.Millisecond)
	start := lifecycle.Build{
		ID: id(0xb1), Number: 1, Transition: lifecycle.TransitionStart, Reason: lifecycle.ReasonManual, Status: lifecycle.JobSucceeded,
		CreatedAt: now, CompletedAt: now, Deadline: end,
	}
	w.WakeAt = now
	if _, err := store.Commit(ctx, now, []lifecycle.Change{{Revision: 1, Workspace: w, Build: start, NewBuild: true}}); err != nil {
		t.Fatal(err)
	}
	queued := make(chan time.Time, 1)
	e, err := executor.New(store, executor.Config{Precise: true, Interval: time.Hour, Logger: slog.New(slog.DiscardHandler), Queued: func([]lifecycle.Job) { queued <- time.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	select {
	case at := <-queued:
		late := at.Sub(end)
		if late < 0 {
			t.Errorf("stopped %v before the deadline", -late)
		}
		t.Logf("stopped %v after the deadline", late)
	case <-time.After(2 * time.Minute): // a machine may be busy, and the next tick is an hour away
		t.Error("not stopped within two minutes")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
