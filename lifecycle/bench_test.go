package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var (
	decided lifecycle.Decision
	woken   time.Time
)

// mix is a fleet as it usually is: a third runs with a deadline, most have a schedule and a policy with all rules.
func mix() []lifecycle.Snapshot {
	usual := with(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5"), ttl(8*time.Hour), failureTTL(time.Hour), tilDormant(90*day), tilDeleted(30*day))
	end := monday.Add(8 * time.Hour)
	return []lifecycle.Snapshot{
		running(usual, deadline(end)), running(usual, deadlines(end, end.Add(day))), running(usual, lead(30*time.Minute), deadline(end)),
		stopped(usual), stopped(usual), stopped(usual, owner(lifecycle.OwnerDormant)), stopped(usual, asleep(monday.Add(30*day))),
		newWorkspace(usual, built(lifecycle.TransitionStart, lifecycle.JobFailed)), newWorkspace(usual, built(lifecycle.TransitionStart, lifecycle.JobRunning)),
		newWorkspace(usual),
	}
}

// BenchmarkEvaluate answers both questions at once.
func BenchmarkEvaluate(b *testing.B) {
	all := mix()
	now := monday.Add(time.Hour)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		decided, woken = lifecycle.Evaluate(&all[i%len(all)], now)
	}
}

// BenchmarkDecide is one Decide and one NextWake.
func BenchmarkDecide(b *testing.B) {
	all := mix()
	now := monday.Add(time.Hour)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s := &all[i%len(all)]
		decided = lifecycle.Decide(*s, now)
		woken = lifecycle.NextWake(*s, now)
	}
}

func BenchmarkExplain(b *testing.B) {
	all := mix()
	for i := 0; b.Loop(); i++ {
		_ = lifecycle.Explain(all[i%len(all)], monday)
	}
}
