package forecast

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Words returns the first n steps for people, one a line, in the zone of the workspace's schedule:
//
//	Mon 2026-03-02 09:00 CET  api starts by its schedule
//	Mon 2026-03-02 09:01 CET  api is up, until 17:01
func Words(n int, steps iter.Seq[Step]) string {
	var b strings.Builder
	for _, s := range first(n, steps) {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// String returns the step in words.
func (s Step) String() string {
	zone := s.After.Workspace.Autostart.Location()
	text := fmt.Sprintf("%s  %s %s", stamp(s.At.In(zone)), s.Workspace, s.verb())
	if !s.Until.IsZero() {
		text += ", " + s.outlook() + " " + sameDay(s.Until.In(zone), s.At.In(zone))
	}
	if s.Message != "" {
		text += ": " + s.Message
	}
	return text
}

// verb says what the workspace does.
func (s Step) verb() string {
	switch s.Kind {
	case KindBuild:
		return s.builds()
	case KindEnded:
		return s.ends()
	case KindDormant:
		return "goes dormant, unused for " + span(s.After.Template.Policy.TimeTilDormant)
	case KindMissed:
		return "misses its start, which is too late"
	case KindExtended:
		return "runs at its autostart time and stays up"
	case KindReminder:
		if s.Rule == lifecycle.RuleDeleteReminder {
			return "is about to be deleted: its owner is reminded"
		}
		return "is about to stop: its owner is reminded"
	}
	return "can go no further"
}

func (s Step) builds() string {
	switch s.Rule {
	case lifecycle.RuleAutostart:
		return "starts by its schedule"
	case lifecycle.RuleAutostop:
		if s.After.Owner.Status == lifecycle.OwnerSuspended {
			return "stops because its owner is suspended"
		}
		return "stops at its deadline"
	case lifecycle.RuleStartRetry:
		return "starts again after a start that failed"
	case lifecycle.RuleFailedCleanup:
		return "is stopped to clean up after a build that failed"
	case lifecycle.RuleDormancy:
		return "stops and goes dormant, unused for " + span(s.After.Template.Policy.TimeTilDormant)
	case lifecycle.RuleAutodelete:
		if s.After.Workspace.DormantAt.IsZero() {
			return "is deleted"
		}
		return "is deleted, dormant since " + stamp(s.After.Workspace.DormantAt)
	case lifecycle.RuleNone:
		return fmt.Sprintf("has a %s by hand", s.Transition)
	}
	return fmt.Sprintf("has a %s (%s)", s.Transition, s.Rule)
}

func (s Step) ends() string {
	switch {
	case s.Status != lifecycle.JobSucceeded:
		return fmt.Sprintf("has its %s %s", s.Transition, s.Status)
	case s.Transition == lifecycle.TransitionStart:
		return "is up"
	case s.Transition == lifecycle.TransitionStop:
		return "is down"
	}
	return "is gone"
}

// outlook names what Until is.
func (s Step) outlook() string {
	switch {
	case s.Kind == KindDormant || s.Rule == lifecycle.RuleDormancy:
		return "to be deleted"
	case s.Kind == KindReminder:
		return "at"
	}
	return "until"
}

func stamp(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// sameDay leaves out the date where it is that of another instant.
func sameDay(t, other time.Time) string {
	if t.Format(time.DateOnly) == other.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return stamp(t)
}

// span shows a duration in its two largest units.
func span(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, " ")
}
