package dormousetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/dormousetest"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

var office = dormouse.Policy{
	DefaultTTL: 9 * time.Hour, ReminderLead: 30 * time.Minute, ActivityBump: time.Hour,
	AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
}

func at(day, hour, minute int) time.Time {
	return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC)
}

func TestDay(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewRunning("api", office)
		if !k.Runtime.Runs(ws.ID) || k.Runtime.Running() != 1 {
			t.Error("what runs in the store runs outside")
		}
		_, err := k.SetSchedule(t.Context(), ws.ID, dormouse.Schedule{Autostart: "0 8 * * *"}, dormouse.By("ann"), dormouse.Note("early bird"))
		if err != nil {
			t.Fatal(err)
		}
		k.RequireNoTransition(ws.ID, at(2, 17, 0))
		k.RequireTransition(ws.ID, lifecycle.TransitionStop, at(2, 17, 1))
		k.Until(ws.ID, lifecycle.StatusStopped)
		k.RequireTransition(ws.ID, lifecycle.TransitionStart, at(3, 8, 0))
		k.Wait(time.Hour)
		want := `
Mon 2026-03-02 08:00:00  (template)  template.changed           new: test
Mon 2026-03-02 08:00:00  (owner)     owner.changed              new: ann
Mon 2026-03-02 08:00:00  api         workspace.created          api
Mon 2026-03-02 08:00:00  api         build.queued               start 1 (manual)
Mon 2026-03-02 08:00:30  api         build.succeeded            start 1 (manual)
Mon 2026-03-02 08:00:30  api         workspace.changed          autostart: CRON_TZ=UTC 0 8 * * * by ann (early bird)
Mon 2026-03-02 16:30:30  api         workspace.stop_upcoming    told: api stops at Mon 2 Mar 17:00 UTC.
Mon 2026-03-02 17:00:30  api         build.queued               stop 2 (autostop)
Mon 2026-03-02 17:01:00  api         build.succeeded            stop 2 (autostop)
Tue 2026-03-03 08:00:00  api         build.queued               start 3 (autostart)
Tue 2026-03-03 08:00:30  api         build.succeeded            start 3 (autostart)
`
		if got := "\n" + k.Log(); got != want {
			t.Errorf("log:%swant:%s", got, want)
		}
		if n := k.Notices(); len(n) != 1 || n[0] != "api stops at Mon 2 Mar 17:00 UTC." {
			t.Errorf("notices %q", n)
		}
	})
}

func TestActivityKeepsItUp(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewRunning("api", office)
		k.Wait(8*time.Hour + 45*time.Minute)
		k.Used(ws.ID)
		k.RequireNoTransition(ws.ID, at(2, 17, 45))
		k.RequireTransition(ws.ID, lifecycle.TransitionStop, at(2, 17, 46))
	})
}

func TestFaultsOfTheRuntime(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewWorkspace("api", office)
		k.Runtime.Fail(ws.ID, errors.New("no capacity"))
		start := func() {
			if _, err := k.Start(t.Context(), ws.ID); err != nil {
				t.Fatal(err)
			}
		}
		start()
		k.Until(ws.ID, lifecycle.StatusFailed)
		if k.Runtime.Runs(ws.ID) {
			t.Error("a build that failed has no effect")
		}
		k.Runtime.LoseAnswer(ws.ID)
		start()
		k.Until(ws.ID, lifecycle.StatusRunning)
		if n := k.Runtime.Builds(ws.ID); n != 3 {
			t.Errorf("carried out %d times, want 3: a failure, a lost answer, and once more", n)
		}
		k.Runtime.Hang(ws.ID)
		if _, err := k.Delete(t.Context(), ws.ID); err != nil {
			t.Fatal(err)
		}
		k.Wait(time.Hour)
		k.Until(ws.ID, lifecycle.StatusDeleting)
		if _, err := k.Cancel(t.Context(), ws.ID); err != nil {
			t.Fatal(err)
		}
		k.Until(ws.ID, lifecycle.StatusCanceled)
		if !k.Runtime.Exists(ws.ID) {
			t.Error("nothing was deleted")
		}
	})
}

func TestStoreThatFails(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewRunning("api", office)
		k.Store.Fail(errors.New("connection refused"))
		k.RequireNoTransition(ws.ID, at(2, 20, 0))
		if _, err := k.Stop(t.Context(), ws.ID); !errors.Is(err, lifecycle.ErrUnavailable) {
			t.Errorf("a stop while the store fails: %v", err)
		}
		k.Store.Fail(nil)
		k.RequireTransition(ws.ID, lifecycle.TransitionStop, at(2, 22, 0))
	})
}

// A host's hooks hear what the kit hears, and what they refuse is repeated.
func TestHostsHooks(t *testing.T) {
	var tries atomic.Int64 // events of different subjects are delivered at once
	cfg := dormousetest.Config{At: at(1, 0, 0), Plane: dormouse.Config{
		Audit: func(context.Context, dormouse.Event) error {
			if tries.Add(1) == 1 {
				return errors.New("audit log is full")
			}
			return nil
		},
	}}
	dormousetest.Run(t, cfg, func(t *testing.T, k *dormousetest.Kit) {
		k.NewRunning("api", office)
		k.Wait(time.Hour)
		if n := len(k.Events()); n != 5 || tries.Load() != 6 {
			t.Errorf("%d events after %d deliveries; want 5 after 6", n, tries.Load())
		}
	})
}

// A week of a hundred people who come at nine and leave when their workspaces stop.
func TestWeek(t *testing.T) {
	begun := time.Now() //nolint:forbidigo // outside of the bubble
	const people = 100
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		template, err := k.PutTemplate(t.Context(), dormouse.Template{Name: "test", Policy: office})
		if err != nil {
			t.Fatal(err)
		}
		for i := range people {
			ws, err := k.Create(t.Context(), dormouse.NewWorkspace{
				Template: template.ID, Owner: fmt.Sprint("owner ", i), Name: fmt.Sprint("ws-", i), Autostart: "0 9 * * 1-5",
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Start(t.Context(), ws.ID); err != nil { // only what was started once starts by itself
				t.Fatal(err)
			}
		}
		for day := range 7 {
			k.Wait(time.Until(at(2+day, 12, 0)))
			want := people
			if day >= 5 {
				want = 0
			}
			if n := k.Runtime.Running(); n != want {
				t.Errorf("on day %d at noon %d run, want %d", day, n, want)
			}
		}
		if n := strings.Count(k.Log(), "build.succeeded"); n != people*5*2 {
			t.Errorf("%d builds, want %d", n, people*5*2)
		}
	})
	took := time.Since(begun) //nolint:forbidigo // outside of the bubble
	t.Logf("a week of %d workspaces took %v, %.2f of what it may take on a machine of its own", people, took.Round(time.Millisecond), float64(took)/float64(weekMay))
}

func TestStoreThatBlocks(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewRunning("api", office)
		k.Store.Block(true)
		k.RequireNoTransition(ws.ID, at(2, 20, 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := k.Stop(ctx, ws.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stop while the store blocks: %v", err)
		}
		k.Store.Block(false)
		k.RequireTransition(ws.ID, lifecycle.TransitionStop, at(2, 22, 0))
	})
}

// A runtime that lies, or dies, is found out by whoever looks.
func TestRuntimeThatLies(t *testing.T) {
	dormousetest.Run(t, dormousetest.Config{}, func(t *testing.T, k *dormousetest.Kit) {
		ws := k.NewWorkspace("api", office)
		k.Runtime.Lie(ws.ID)
		if _, err := k.Start(t.Context(), ws.ID); err != nil {
			t.Fatal(err)
		}
		w := k.Until(ws.ID, lifecycle.StatusRunning)
		if k.Runtime.Runs(ws.ID) {
			t.Error("nothing was started")
		}
		if _, err := k.Observe(t.Context(), ws.ID, dormouse.Observation{BuildID: w.BuildID}); err != nil {
			t.Fatal(err)
		}
		k.Until(ws.ID, lifecycle.StatusStopped)
		if _, err := k.Start(t.Context(), ws.ID); err != nil {
			t.Fatal(err)
		}
		k.Until(ws.ID, lifecycle.StatusRunning)
		k.Runtime.Kill(ws.ID)
		if k.Runtime.Runs(ws.ID) || k.Runtime.Running() != 0 {
			t.Error("what was killed runs")
		}
	})
}
