package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Where a deadline comes from is told of each source, and that it was moved where it is none of them.
func TestDeadlineFrom(t *testing.T) {
	up := monday.Add(time.Minute)
	ttl := func(d time.Duration) edit { return workspace(func(w *lifecycle.Workspace) { w.TTL = d }) }
	autostop := func(spec string) edit { return workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly(spec) }) }
	longest := func(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.MaxRuntime = d }) }
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want lifecycle.DeadlineSource
	}{
		"no deadline":       {running(ttl(time.Hour)), lifecycle.DeadlineNone},
		"its ttl":           {running(ttl(time.Hour), deadline(up.Add(time.Hour))), lifecycle.DeadlineTTL},
		"moved":             {running(ttl(time.Hour), deadline(up.Add(time.Hour+us))), lifecycle.DeadlineMoved},
		"moved, no ttl":     {running(deadline(up)), lifecycle.DeadlineMoved},
		"its stop":          {running(autostop("0 17 * * *"), deadline(at("2026-03-02 17:00"))), lifecycle.DeadlineAutostop},
		"its stop, not ttl": {running(ttl(24*time.Hour), autostop("0 17 * * *"), deadline(at("2026-03-02 17:00"))), lifecycle.DeadlineAutostop},
		"its ttl, not stop": {running(ttl(time.Hour), autostop("0 17 * * *"), deadline(up.Add(time.Hour))), lifecycle.DeadlineTTL},
		"the longest run":   {running(ttl(24*time.Hour), longest(2*time.Hour), deadline(up.Add(2*time.Hour))), lifecycle.DeadlineMaxRuntime},
		"the longest, shortest": {
			running(longest(us), deadline(up.Add(us))), lifecycle.DeadlineMaxRuntime,
		},
		"its quiet hours": {
			running(ttl(24*time.Hour), quietHours("0 13 * * *", schedule.AllDays, 1), deadline(at("2026-03-02 13:00"))), lifecycle.DeadlineRequirement,
		},
		"its quiet hours, under a longest run": {
			running(longest(72*time.Hour), quietHours("0 13 * * *", schedule.AllDays, 1), deadline(at("2026-03-02 13:00"))), lifecycle.DeadlineRequirement,
		},
		"its autostart time": {
			running(ttl(8*time.Hour), autostart("30 9 * * *"), deadline(at("2026-03-02 17:30"))), lifecycle.DeadlineAutostart,
		},
	} {
		if got := c.s.DeadlineFrom(); got != c.want {
			t.Errorf("%s: from %q, want %q", name, got, c.want)
		}
	}
}
