package lifecycle_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// exampleWorkspace runs until 18:00 on Monday 2 March 2026, and was made with the verbs alone.
func exampleWorkspace() lifecycle.Snapshot {
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	template := lifecycle.Template{ID: uuid.New(), ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, ActivityBump: time.Hour,
	}}
	owner := lifecycle.Owner{ID: uuid.New(), Name: "ann"}
	s := lifecycle.Snapshot{
		Workspace: lifecycle.NewWorkspace(uuid.New(), template, owner.ID, "dev", nine), Owner: owner, Template: template,
	}
	autostart, _ := schedule.Weekly("CRON_TZ=UTC 30 8 * * 1-5")
	for _, verb := range []lifecycle.Verb{
		lifecycle.SetAutostart(autostart),
		lifecycle.SetTTL(9 * time.Hour),
		lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil),
		jobSucceeded,
	} {
		s = applied(s, verb, nine)
	}
	return s
}

// jobSucceeded is the end of the latest build's job.
func jobSucceeded(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
	return lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded})(s, now)
}

// applied is the workspace after a verb, as a store would keep it.
func applied(s lifecycle.Snapshot, v lifecycle.Verb, now time.Time) lifecycle.Snapshot {
	c, err := v(s, now)
	if err != nil {
		fmt.Println(err)
		return s
	}
	s.Workspace, s.Build = c.Workspace, c.Build
	return s
}

// The pure core alone: what is due, and when that could change.
func ExampleDecide() {
	deadline := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{Name: "dev"},
		Build: lifecycle.Build{
			Number: 1, Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded, Deadline: deadline,
		},
	}
	d := lifecycle.Decide(s, deadline.Add(-time.Minute))
	fmt.Println(d.Acts(), lifecycle.NextWake(s, deadline.Add(-time.Minute)).Format(time.TimeOnly))
	d = lifecycle.Decide(s, deadline)
	fmt.Println(d.Acts(), d.Transition, d.Reason)
	// Output:
	// false 18:00:00
	// true stop autostop
}

// Every rule, with what it compares and when it acts.
func ExampleExplain() {
	fmt.Print(lifecycle.Explain(exampleWorkspace(), time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)))
	// Output:
	// dev is running. Next: it stops at its deadline, at Mon 2026-03-02 18:00:00 UTC (in 6h).
	//   extend          off    the policy does not ask for it
	//   autostop        waits  now Mon 2026-03-02 12:00:00 UTC is 6h before the deadline Mon 2026-03-02 18:00:00 UTC;  acts at Mon 2026-03-02 18:00:00 UTC
	//   autostart       off    8:30AM Mon-Fri (UTC);  the workspace is not stopped
	//   start_retry     off    the policy does not ask for it
	//   failed_cleanup  off    last build: start succeeded; failure ttl 0;  the policy does not ask for it
	//   dormancy        off    unused for 3h (since Mon 2026-03-02 09:00:00 UTC);  the policy does not ask for it
	//   autodelete      off    deletion not set;  the policy does not ask for it
	//   reminder        off    reminder lead 0;  the policy does not ask for it
	//   delete_reminder off    the policy does not ask for it
}

// Its owner wants more time.
func ExampleExtend() {
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := exampleWorkspace()
	change, err := lifecycle.Extend(nine.Add(11*time.Hour))(s, nine)
	fmt.Println(change.Build.Deadline.Format(time.TimeOnly), err)
	_, err = lifecycle.Extend(nine.Add(10*time.Minute))(s, nine)
	fmt.Println(err)
	// Output:
	// 20:00:00 <nil>
	// deadline "2026-03-02T09:10:00Z": must be at least 29m0s from now, 2026-03-02T09:29:00Z
}

// Nothing happens by itself while a workspace is held; it can also be held from some rules alone.
func ExampleSetHold() {
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := applied(exampleWorkspace(), lifecycle.SetHold(lifecycle.Hold{Until: nine.Add(7*24*time.Hour - 9*time.Hour), By: "ann", Note: "vacation"}), nine)
	fmt.Println(lifecycle.Explain(s, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)).Summary)
	// Output: dev is running. Next: it stops at its deadline, at Mon 2026-03-09 00:00:00 UTC (in 6d). Held until Mon 2026-03-09 00:00:00 UTC: all, by ann: vacation.
}
