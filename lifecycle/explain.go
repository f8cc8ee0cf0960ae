package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// Explanation answers, for one workspace, what is due now and why, what happens next and when, and what prevents it. It
// is made for people and for JSON. Its texts may change from version to version; the verdicts do not.
type Explanation struct {
	Workspace string    `json:"workspace"`
	At        time.Time `json:"at"`
	Status    Status    `json:"status"`
	// Summary is the whole in a sentence or two.
	Summary string `json:"summary"`
	// Next is the rule that acts next and NextAt the instant; RuleNone and zero if none ever will.
	Next   Rule      `json:"next"`
	NextAt time.Time `json:"next_at,omitzero"`
	// HeldUntil is the end of the hold that covers At, zero if there is none.
	HeldUntil time.Time `json:"held_until,omitzero"`
	// Error is what is wrong with the stored values, empty if nothing is.
	Error string `json:"error,omitempty"`
	// Rules has one entry for each rule, in the order in which they are asked.
	Rules []RuleExplanation `json:"rules"`
}

// RuleExplanation is one rule's answer.
type RuleExplanation struct {
	Rule    Rule    `json:"rule"`
	Verdict Verdict `json:"verdict"`
	// Compared is what the rule compares, with the values it sees, and which side is how far ahead.
	Compared string `json:"compared,omitempty"`
	// Because says why a rule is off, or what it waits for.
	Because string `json:"because,omitempty"`
	// ChangesAt is when the verdict changes by time alone, zero for never.
	ChangesAt time.Time `json:"changes_at,omitzero"`
}

// Verdict is where a rule stands.
type Verdict string

// The verdicts.
const (
	// VerdictActs: the rule acts at this instant.
	VerdictActs Verdict = "acts"
	// VerdictDue: the rule is due too, but one before it acts first.
	VerdictDue Verdict = "due"
	// VerdictWaits: the rule acts later, at ChangesAt, if nothing else changes.
	VerdictWaits Verdict = "waits"
	// VerdictHeld: the rule is due but a hold or a back-off keeps it until ChangesAt.
	VerdictHeld Verdict = "held"
	// VerdictOff: the rule does not apply as things are.
	VerdictOff Verdict = "off"
)

// Explain says for every rule what it sees and where it stands at now. It shows the very values that [Decide] and
// [NextWake] compare, so it cannot disagree with them.
func Explain(s Snapshot, now time.Time) Explanation {
	x := Explanation{Workspace: nameOf(&s), At: now.UTC(), Status: s.Status()}
	v, d := look(&s, now), decide(&s, now)
	if end, held := heldUntil(&s, now); held {
		x.HeldUntil = end.UTC()
	}
	if d.Err != nil {
		x.Error = d.Err.Error()
	}
	var next armed
	for r := RuleNone + 1; r < ruleEnd; r++ {
		a, acts := v.fires(r, &s)
		e := explainRule(r, a, acts, &s, d.Rule, now)
		if at := e.ChangesAt; !at.IsZero() && (x.NextAt.IsZero() || at.Before(x.NextAt)) {
			x.Next, x.NextAt, next = r, at, a
		}
		if r == d.Rule {
			next = a
		}
		x.Rules = append(x.Rules, e)
	}
	if d.Acts() {
		x.Next, x.NextAt = d.Rule, now.UTC()
	}
	x.Summary = summary(&s, &x, next, d, now)
	return x
}

func nameOf(s *Snapshot) string {
	if s.Workspace.Name != "" {
		return s.Workspace.Name
	}
	return s.Workspace.ID.String()
}

func explainRule(r Rule, a armed, acts instant, s *Snapshot, acting Rule, now time.Time) RuleExplanation {
	e := RuleExplanation{Rule: r, Compared: compared(r, a, s, now)}
	switch {
	case !a.is():
		e.Verdict, e.Because = VerdictOff, because(a.obstacle, s)
	case r == acting:
		e.Verdict, e.ChangesAt = VerdictActs, now.UTC()
	case acts <= at(now):
		e.Verdict, e.ChangesAt = VerdictDue, now.UTC()
		e.Because = acting.String() + " comes first"
	default:
		e.Verdict, e.ChangesAt = VerdictWaits, acts.time()
		if a.at <= at(now) || a.at < acts {
			e.Because = heldBecause(s, max(a.at, at(now)).time())
		}
		if a.at <= at(now) {
			e.Verdict = VerdictHeld
		}
	}
	return e
}

// because names an obstacle, with the error behind it if there is one.
func because(o obstacle, s *Snapshot) string {
	switch o {
	case badSchedule:
		return o.String() + ": " + s.Workspace.Autostart.Err().Error()
	case badHolidays:
		return o.String() + ": " + s.Template.Policy.Holidays.Err().Error()
	}
	return o.String()
}

// heldBecause names what suspends the rules at an instant.
func heldBecause(s *Snapshot, t time.Time) string {
	switch w, tm := &s.Workspace, &s.Template; {
	case w.HoldUntil.After(t):
		return "the workspace is held until " + stamp(w.HoldUntil)
	case tm.HoldUntil.After(t):
		return "the template is held until " + stamp(tm.HoldUntil)
	case w.Backoff.Until.After(t):
		b := &w.Backoff
		return fmt.Sprintf("tried again at %s after attempt %d: %s: %s", stamp(b.Until), b.Attempts, b.Cause, b.Message)
	}
	return "holidays of the template: " + s.Template.Policy.Holidays.String()
}

func summary(s *Snapshot, x *Explanation, next armed, d Decision, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s. ", x.Workspace, state(s))
	if why := suspended(s); why != none {
		fmt.Fprintf(&b, "Nothing happens by itself: %s.", why)
		return b.String()
	}
	switch {
	case d.Acts():
		fmt.Fprintf(&b, "Now: %s", sentence(d.Rule, next, s))
		if d.Missed {
			b.WriteString(", but it is too late for that: this start is skipped")
		}
	case x.Next != RuleNone:
		fmt.Fprintf(&b, "Next: %s, at %s (in %s)", sentence(x.Next, next, s), local(s, x.NextAt), span(x.NextAt.Sub(now)))
	default:
		b.WriteString("Nothing will happen by itself")
	}
	b.WriteString(".")
	if !x.HeldUntil.IsZero() {
		fmt.Fprintf(&b, " Held until %s.", stamp(x.HeldUntil))
	}
	if x.Error != "" {
		fmt.Fprintf(&b, " Error: %s.", x.Error)
	}
	return b.String()
}

// state completes "the workspace ...".
func state(s *Snapshot) string {
	switch status := s.Status(); status {
	case StatusNeedsAttention:
		return "needs attention"
	case StatusManaged:
		return "is controlled by something else"
	case StatusFailed, StatusCanceled:
		return "has a " + status.String() + " " + s.Build.Transition.String()
	default:
		return "is " + status.String()
	}
}

// sentence says what a rule is about to do.
func sentence(r Rule, a armed, s *Snapshot) string {
	switch r {
	case RuleAutostop:
		if a.at == always {
			return "it stops because its owner is suspended"
		}
		return "it stops at its deadline"
	case RuleAutostart:
		return "it starts by its schedule (" + s.Workspace.Autostart.Humanize() + ")"
	case RuleFailedCleanup:
		return "a stop cleans up after the " + s.Build.Status.String() + " " + s.Build.Transition.String()
	case RuleDormancy:
		return "it goes dormant, unused for " + span(a.wait)
	case RuleAutodelete:
		return "it is deleted, dormant since " + stamp(s.Workspace.DormantAt)
	case RuleExtend:
		return "its deadline moves because it runs at its autostart time"
	case RuleReminder:
		return "its owner is reminded of the stop at " + stamp(a.since.time())
	}
	return "nothing"
}

// String renders the explanation as text, one rule a line.
func (x Explanation) String() string {
	var b strings.Builder
	b.WriteString(x.Summary + "\n")
	for _, r := range x.Rules {
		fmt.Fprintf(&b, "  %-14s %-5s", r.Rule, r.Verdict)
		for _, part := range []string{r.Compared, r.Because} {
			if part != "" {
				b.WriteString("  " + part + ";")
			}
		}
		if r.Verdict == VerdictWaits || r.Verdict == VerdictHeld {
			b.WriteString("  acts at " + stamp(r.ChangesAt))
		}
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), ";\n", "\n")
}
