package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestValidateChange(t *testing.T) {
	ended := lifecycle.Build{Number: 3, Status: lifecycle.JobFailed}
	running := lifecycle.Build{Number: 3, Status: lifecycle.JobRunning}
	at := time.Date(2026, 3, 2, 8, 0, 0, 1000, time.UTC)
	for _, c := range []struct {
		name     string
		latest   lifecycle.Build
		newBuild bool
		build    lifecycle.Build
		field    string // of the error, "" for none, "active" for ErrBuildActive
	}{
		{"no build", running, false, lifecycle.Build{}, ""},
		{"no build, yet deadlines, which are not written", running, false, lifecycle.Build{MaxDeadline: at}, ""},
		{"the next", ended, true, lifecycle.Build{Number: 4}, ""},
		{"the first", lifecycle.Build{}, true, lifecycle.Build{Number: 1}, ""},
		{"a gap", ended, true, lifecycle.Build{Number: 5}, "Change.Build.Number"},
		{"again", ended, true, lifecycle.Build{Number: 3}, "Change.Build.Number"},
		{"no number", lifecycle.Build{}, true, lifecycle.Build{}, "Change.Build.Number"},
		{"while one is active", running, true, lifecycle.Build{Number: 4}, "active"},
		{"the latest", running, false, lifecycle.Build{Number: 3}, ""},
		{"not the latest", ended, false, lifecycle.Build{Number: 2}, "Change.Build.Number"},
		{"of none", lifecycle.Build{}, false, lifecycle.Build{Number: 1}, "Change.Build.Number"},
		{"deadlines", ended, true, lifecycle.Build{Number: 4, Deadline: at, MaxDeadline: at}, ""},
		{"a deadline alone", ended, true, lifecycle.Build{Number: 4, Deadline: at}, ""},
		{"less than a microsecond late", ended, true, lifecycle.Build{Number: 4, Deadline: at.Add(999), MaxDeadline: at}, ""},
		{"a microsecond late", ended, false, lifecycle.Build{Number: 3, Deadline: at.Add(1000), MaxDeadline: at}, "Change.Build.Deadline"},
		{"a maximum alone", ended, true, lifecycle.Build{Number: 4, MaxDeadline: at}, "Change.Build.Deadline"},
	} {
		change := lifecycle.Change{NewBuild: c.newBuild, Build: c.build}
		err := change.Validate(c.latest)
		var refused *invalid.Error
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: error %v", c.name, err)
		case c.field == "active" && !errors.Is(err, lifecycle.ErrBuildActive):
			t.Errorf("%s: error %v, want ErrBuildActive", c.name, err)
		case c.field != "" && c.field != "active" && (!errors.As(err, &refused) || refused.Field != c.field):
			t.Errorf("%s: error %v, want one about %s", c.name, err, c.field)
		}
	}
}
