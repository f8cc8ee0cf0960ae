package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Decide measures the pure core.
var Decide = figure.Suite{Name: "decide", Run: runDecide}

func runDecide(_ context.Context, r *figure.Recorder) error {
	mix, err := states(1000)
	if err != nil {
		return err
	}
	newer, err := states(1000)
	if err != nil {
		return err
	}
	if err := arm(newer); err != nil {
		return err
	}
	took, allocations := evaluate(mix)
	r.AtMost(100, "decide", float64(took), "ns", "Evaluate (Decide and NextWake in one pass), parsed schedules, a mix of states")
	r.AtMost(0, "decide/allocations", allocations, "", "per Evaluate")
	took, _ = evaluate(newer)
	r.Plain("decide/newer", float64(took), "ns", "the same where every workspace has every newer rule: stops at a time of day, a cap, retried starts, deletion when stopped, holidays, and one in ten a hold")
	return nil
}

// evaluate measures what both answers about a snapshot cost.
func evaluate(mix []lifecycle.Snapshot) (took time.Duration, allocations float64) {
	pass := func() {
		for i := range mix {
			d, wake := lifecycle.Evaluate(&mix[i], now)
			soonest = min(soonest, wake.Unix()+int64(d.Rule))
		}
	}
	var times []time.Duration
	for range rounds {
		times = append(times, each(per(50, pass), len(mix)))
	}
	return meter.Median(times), testing.AllocsPerRun(10, pass) / float64(len(mix))
}

var (
	soonest int64 // keeps the answers in use
	now     = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

// states is a mix as a fleet has it at noon: half of the workspaces running, most others stopped, some dormant, a few in
// trouble; three of four have an autostart schedule.
func states(n int) ([]lifecycle.Snapshot, error) {
	var zones schedule.Interner
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]lifecycle.Snapshot, n)
	for i := range all {
		s := &all[i]
		s.Template.Policy = policy
		s.Workspace.ID = uuid.New()
		s.Workspace.CreatedAt = now.AddDate(0, -3, 0)
		s.Workspace.LastUsedAt = now.Add(-time.Duration(random.IntN(72)) * time.Hour)
		s.Workspace.TTL = 8 * time.Hour
		if i%4 != 0 {
			s.Workspace.Autostart = zones.Weekly(fmt.Sprintf("CRON_TZ=%s 30 %d * * 1-5", [...]string{
				"Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC",
			}[i%4], 7+i%4))
			if err := s.Workspace.Autostart.Err(); err != nil {
				return nil, err
			}
		}
		set(s, random.IntN(100), time.Duration(random.IntN(600))*time.Minute)
	}
	return all, nil
}

var policy = lifecycle.Policy{
	DefaultTTL: 8 * time.Hour, ActivityBump: time.Hour, FailureTTL: time.Hour, TimeTilDormant: 14 * 24 * time.Hour,
	TimeTilAutodelete: 30 * 24 * time.Hour, ReminderLead: 30 * time.Minute, AutostartDays: schedule.AllDays,
	AllowUserAutostart: true, AllowUserTTL: true,
}

func set(s *lifecycle.Snapshot, kind int, ago time.Duration) {
	b := &s.Build
	*b = lifecycle.Build{Number: 5, CreatedAt: now.Add(-ago - time.Minute), CompletedAt: now.Add(-ago), Status: lifecycle.JobSucceeded}
	switch {
	case kind < 50:
		b.Transition, b.Deadline = lifecycle.TransitionStart, now.Add(8*time.Hour-ago)
	case kind < 90:
		b.Transition = lifecycle.TransitionStop
	case kind < 97:
		b.Transition = lifecycle.TransitionStop
		s.Workspace.DormantAt, s.Workspace.DeletingAt = now.Add(-ago), now.Add(20*24*time.Hour)
	default:
		b.Transition, b.Status = lifecycle.TransitionStart, lifecycle.JobFailed
	}
}

// arm gives workspaces every rule that policies and owners can ask for.
func arm(all []lifecycle.Snapshot) error {
	stops, err := schedule.Weekly("CRON_TZ=Europe/Berlin 0 19 * * 1-5")
	if err != nil {
		return err
	}
	holidays, err := schedule.ParseDates("Europe/Berlin 2026-04-03..2026-04-06, 2026-05-01, 2026-12-24..2027-01-01")
	if err != nil {
		return err
	}
	for i := range all {
		s := &all[i]
		p := &s.Template.Policy
		p.MaxRuntime, p.DeleteStopped, p.StartRetry = 12*time.Hour, 60*24*time.Hour, lifecycle.StartRetry{Max: 3}
		p.Holidays, p.ExtendAtAutostart, p.HolidaysHold = holidays, true, lifecycle.HoldStarts
		s.Workspace.Autostop = stops
		if i%10 == 0 {
			s.Workspace.Hold = lifecycle.Hold{Until: now.Add(36 * time.Hour), Rules: lifecycle.HoldStops, By: "ann"}
		}
	}
	return nil
}
