package forecast

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Session is a stretch of time in which somebody is at work, End excluded. The zero value is no session.
type Session struct {
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end"`
}

// Has reports whether somebody is at work at an instant.
func (s Session) Has(t time.Time) bool { return !t.Before(s.Begin) && t.Before(s.End) }

// Outcome is how the job of a build goes.
type Outcome struct {
	// Took is the time from the creation of the build to the end of its job.
	Took time.Duration
	// Status is JobSucceeded, JobFailed or JobCanceled.
	Status lifecycle.JobStatus
}

// Assumptions are what nobody can read from a store: how long builds take, whether they fail, and when people work. The
// zero value assumes an executor that ticks every minute, builds that succeed after a minute, and nobody at work.
type Assumptions struct {
	// Tick is the granularity of the executor's ticks: what is due is done at the next whole one, and at most one thing in
	// each. Defaults to 1 minute, as the executor's does.
	Tick time.Duration
	// Build says how the job of the latest build of a snapshot goes. It may be called from several goroutines at once.
	// Defaults to success after a minute; a job that is being canceled is then canceled.
	Build func(lifecycle.Snapshot) Outcome
	// Work returns the first session that ends after an instant, the zero Session if there is none. Sessions do not overlap.
	// nil: nobody works.
	Work func(after time.Time) Session
	// Beat is how often the workspace of somebody at work reports activity, the first time when the session begins.
	// Defaults to 5 minutes.
	Beat time.Duration
	// LeaveStopped says that somebody who comes to work does not start by hand a workspace that is not running. Without it
	// they do, at each beat until it runs, and at once when a job that was in the way ends.
	LeaveStopped bool
}

func (a Assumptions) withDefaults() Assumptions {
	if a.Tick == 0 {
		a.Tick = time.Minute
	}
	if a.Beat == 0 {
		a.Beat = 5 * time.Minute
	}
	if a.Build == nil {
		a.Build = succeedsInAMinute
	}
	if a.Work == nil {
		a.Work = func(time.Time) Session { return Session{} }
	}
	return a
}

// Validate refuses what cannot be assumed.
func (a Assumptions) Validate() error {
	if a.Tick < 0 || a.Tick > time.Hour {
		return invalid.New("Assumptions.Tick", a.Tick, "must be between 1 microsecond and 1 hour, 0 for a minute")
	}
	return invalid.Duration("Assumptions.Beat", a.Beat)
}

func succeedsInAMinute(s lifecycle.Snapshot) Outcome {
	if s.Build.Status == lifecycle.JobCanceling {
		return Outcome{Took: time.Minute, Status: lifecycle.JobCanceled}
	}
	return Outcome{Took: time.Minute, Status: lifecycle.JobSucceeded}
}

// Recorded returns the sessions of a slice as [Assumptions.Work] wants them. They must be in order and not overlap; see
// [Sessions].
func Recorded(all []Session) func(after time.Time) Session {
	return func(after time.Time) Session {
		lo, hi := 0, len(all)
		for lo < hi {
			if mid := (lo + hi) / 2; all[mid].End.After(after) {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		if lo == len(all) {
			return Session{}
		}
		return all[lo]
	}
}

// Sessions makes sessions of single uses (commits, connections, requests) in order of time: somebody was at work for some
// time before each and after it, and what touches is one session.
func Sessions(uses []time.Time, before, after time.Duration) []Session {
	var all []Session
	for _, u := range uses {
		s := Session{u.UTC().Add(-before), u.UTC().Add(after)}
		if n := len(all); n > 0 && !s.Begin.After(all[n-1].End) {
			if s.End.After(all[n-1].End) {
				all[n-1].End = s.End
			}
			continue
		}
		all = append(all, s)
	}
	return all
}
