package forecast_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/kit"
)

// Whatever the workspace, its steps are in order and within the time that was asked for, at most one rule acts in a tick, and
// nothing more happens after it is deleted.
func FuzzUpcoming(f *testing.F) {
	f.Add(uint64(1), "0 9 * * *", "0 18 * * 1-5", int64(time.Hour), int64(8*time.Hour), uint16(600), uint8(10))
	f.Add(uint64(2), "*/5 * * * *", "", int64(time.Minute), int64(0), uint16(1), uint8(90))
	f.Fuzz(func(t *testing.T, seed uint64, start, stop string, run, most int64, took uint16, fail uint8) {
		s := seeded(seed).Snapshot(1)
		s.Workspace.Autostart, s.Workspace.Autostop = kit.Interner.Weekly(start), kit.Interner.Weekly(stop)
		s.Workspace.TTL, s.Template.Policy.MaxRuntime = time.Duration(run), time.Duration(most)
		if s.Template.Policy.Validate() != nil {
			return
		}
		a := forecast.Assumptions{Build: func(s lifecycle.Snapshot) forecast.Outcome {
			o := forecast.Outcome{Took: time.Duration(took) * time.Second, Status: lifecycle.JobSucceeded}
			if uint8(s.Build.Number*37) < fail {
				o.Status = lifecycle.JobFailed
			}
			return o
		}}
		until := monday.Add(5 * day)
		var last forecast.Step
		acted := time.Time{}
		for step := range first2000(forecast.Upcoming(s, monday, until, a)) {
			switch {
			case step.At.Before(monday) || !step.At.Before(until) || step.At.Before(last.At):
				t.Fatalf("%v after %v", step, last)
			case last.After.Workspace.Deleted || last.Kind == forecast.KindStuck:
				t.Fatalf("%v after the end, %v", step, last)
			case step.Rule != lifecycle.RuleNone && step.Kind != forecast.KindEnded:
				if step.At.Equal(acted) {
					t.Fatalf("%v in the tick of another rule, %v", step, last)
				}
				acted = step.At
			}
			if step.String() == "" {
				t.Fatalf("%+v has no words", step)
			}
			last = step
		}
	})
}

// first2000 bounds what a schedule of every minute costs.
func first2000(steps func(func(forecast.Step) bool)) func(func(forecast.Step) bool) {
	return func(yield func(forecast.Step) bool) {
		n := 0
		steps(func(s forecast.Step) bool {
			n++
			return n <= 2000 && yield(s)
		})
	}
}
