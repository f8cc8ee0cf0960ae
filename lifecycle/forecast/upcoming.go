package forecast

import (
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// Step is one thing that will happen to a workspace.
type Step struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// WorkspaceID and Workspace name what it happens to.
	WorkspaceID uuid.UUID `json:"workspace_id"`
	Workspace   string    `json:"workspace,omitempty"`
	// Rule is the rule that acts, RuleNone where a person or a worker does.
	Rule lifecycle.Rule `json:"rule,omitempty"`
	// Transition, Reason and BuildNumber are those of the build that is made or ends, Status how it ended.
	Transition  lifecycle.Transition `json:"transition,omitempty"`
	Reason      lifecycle.Reason     `json:"reason,omitempty"`
	BuildNumber int64                `json:"build_number,omitempty"`
	Status      lifecycle.JobStatus  `json:"status,omitempty"`
	// When is the instant to tell people: of a rule's step when it is due, which is what [lifecycle.Explain] says, and not the
	// tick that acts after it. What is overdue is told for the instant of the step before, or the beginning. It is At where no
	// rule acts.
	When time.Time `json:"when"`
	// DueAt is since when the rule was due: a tick comes at At.
	DueAt time.Time `json:"due_at,omitzero"`
	// Until is what the step leads to: the deadline of a workspace that came up or was extended (a spread and holds may move
	// the stop itself), what a reminder tells of, the deletion of one that goes dormant. Zero if there is none.
	Until time.Time `json:"until,omitzero"`
	// Message is what went wrong, if anything did.
	Message string `json:"message,omitempty"`

	// After is the workspace after the step.
	After lifecycle.Snapshot `json:"-"`
}

// Kind is what happens in a step.
type Kind string

// The kinds of steps.
const (
	// KindBuild: a build is made, by a rule or by hand. Dormancy that stops a workspace first is one step.
	KindBuild Kind = "build"
	// KindEnded: the job of a build ends.
	KindEnded Kind = "ended"
	// KindDormant: a workspace that does not run goes dormant.
	KindDormant Kind = "dormant"
	// KindMissed: a start is given up as too late.
	KindMissed Kind = "missed"
	// KindExtended: the deadline moves because the workspace runs at its autostart time.
	KindExtended Kind = "extended"
	// KindReminder: the owner is told of a stop or, by RuleDeleteReminder, of a deletion.
	KindReminder Kind = "reminder"
	// KindStuck: nothing can happen any more, Message says why. It is the last step.
	KindStuck Kind = "stuck"
)

// Upcoming returns what will happen to a workspace, in order, at instants from from on and before until, if the
// assumptions hold and nothing else changes it. Each step is decided by [lifecycle.Decide] on the workspace as the step
// before left it, so the executor makes the same transitions at the same instants.
//
// The sequence ends at until, when the workspace is deleted, or when nothing will ever happen. A zero until is four weeks
// from from; to see the next few steps, break. It costs about a microsecond a step and as much for each
// report of activity. It may be ranged over more than once.
//
// What it does not know: refusals of a builder, absent workers, caps on transitions, an outage. Steps of a [KindStuck] say
// that the assumptions or the stored values cannot be used.
func Upcoming(s lifecycle.Snapshot, from, until time.Time, a Assumptions) iter.Seq[Step] {
	if until.IsZero() {
		until = from.AddDate(0, 0, 28)
	}
	return func(yield func(Step) bool) {
		if err := a.Validate(); err != nil {
			yield(stuck(&life{s: s, now: from.UTC(), err: err}))
			return
		}
		l := newLife(s, from, a.withDefaults())
		for m, ok := l.next(until); ok; m, ok = l.next(until) {
			if m.what != came && l.err == nil && !yield(stepOf(l, m)) {
				return
			}
		}
		if l.err != nil {
			yield(stuck(l))
		}
	}
}

// Project returns a workspace as it will be just before an instant, under the same assumptions as [Upcoming]. The error
// says why it could not be followed so far; the workspace is then as far as it was.
func Project(s lifecycle.Snapshot, from, until time.Time, a Assumptions) (lifecycle.Snapshot, error) {
	if err := a.Validate(); err != nil {
		return s, err
	}
	l := newLife(s, from, a.withDefaults())
	for {
		if _, ok := l.next(until); !ok {
			return l.s, l.err
		}
	}
}

// first returns the first n steps.
func first(n int, steps iter.Seq[Step]) []Step {
	var all []Step
	if n <= 0 {
		return nil
	}
	for s := range steps {
		if all = append(all, s); len(all) == n {
			break
		}
	}
	return all
}

func stuck(l *life) Step {
	return Step{
		At: l.now, When: l.now, Kind: KindStuck, WorkspaceID: l.s.Workspace.ID, Workspace: text.Name(&l.s), Message: l.err.Error(), After: l.s,
	}
}

// stepOf tells a moment.
func stepOf(l *life, m moment) Step {
	w, b := &l.s.Workspace, &l.s.Build
	s := Step{
		At: m.at, Kind: kindOf(m), WorkspaceID: w.ID, Workspace: text.Name(&l.s),
		Rule: m.d.Rule, When: m.at, DueAt: m.d.DueAt, After: l.s,
	}
	if s.Rule != lifecycle.RuleNone {
		s.When = notBefore(m.d.DueAt, m.after)
	}
	if s.Kind == KindBuild || s.Kind == KindEnded {
		s.Transition, s.Reason, s.BuildNumber = b.Transition, b.Reason, b.Number
	}
	switch {
	case s.Kind == KindEnded:
		s.Status, s.Until = b.Status, b.Deadline
		if !w.AttentionAt.IsZero() {
			s.Message = "automatic retries ended, a person has to look"
		}
	case m.d.Dormant:
		s.Until = w.DeletingAt
	case s.Kind == KindReminder:
		s.Until = m.until
	case s.Kind == KindExtended:
		s.Until = b.Deadline
	}
	return s
}

func notBefore(at, earliest time.Time) time.Time {
	if at.Before(earliest) {
		return earliest
	}
	return at
}

func kindOf(m moment) Kind {
	switch {
	case m.what == ended:
		return KindEnded
	case m.what == asked || m.d.Transition != lifecycle.TransitionNone:
		return KindBuild
	case m.d.Dormant:
		return KindDormant
	case m.d.Missed:
		return KindMissed
	case m.d.Rule == lifecycle.RuleExtend:
		return KindExtended
	}
	return KindReminder
}
