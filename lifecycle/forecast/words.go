package forecast

import (
	"fmt"
	"iter"
	"strings"

	plain "github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// Words returns the first n steps for people, one a line, in one zone: that of the workspace's schedules, else of its
// owner's quiet hours, else UTC.
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

// String returns the step in words. Its instant is Step.When.
func (s Step) String() string {
	zone := text.Zone(&s.After)
	when := s.When.In(zone)
	line := fmt.Sprintf("%s  %s %s", text.Stamp(when), plain.Quoted(s.Workspace), s.verb())
	if !s.Until.IsZero() {
		line += ", " + s.outlook() + " " + text.SameDay(s.Until.In(zone), when)
	}
	if s.Message != "" {
		line += ": " + s.Message
	}
	return line
}

// verb says what the workspace does.
func (s Step) verb() string {
	switch s.Kind {
	case KindBuild:
		return s.builds()
	case KindEnded:
		return s.ends()
	case KindDormant:
		return "goes dormant, unused for " + text.Span(s.After.Template.Policy.TimeTilDormant)
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
		return "stops and goes dormant, unused for " + text.Span(s.After.Template.Policy.TimeTilDormant)
	case lifecycle.RuleAutodelete:
		if s.After.Workspace.DormantAt.IsZero() {
			return "is deleted"
		}
		return "is deleted, dormant since " + text.Stamp(s.After.Workspace.DormantAt.In(text.Zone(&s.After)))
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
