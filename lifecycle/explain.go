package lifecycle

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/schedule"
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
	// HeldUntil is the end of the hold that covers At, zero if there is none: the latest, if there are several.
	HeldUntil time.Time `json:"held_until,omitzero"`
	// Holds says for each hold that covers At what is held until when, by whom and why.
	Holds []string `json:"holds,omitempty"`
	// Error is what is wrong with the stored values, empty if nothing is.
	Error string `json:"error,omitempty"`
	// Rules has one entry for each rule, in the order in which they are asked.
	Rules []RuleExplanation `json:"rules"`

	// zone is that of the texts.
	zone *time.Location
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
// [NextWake] compare, so it cannot disagree with them. Its texts show instants in the zone of the workspace's schedule, else
// of its owner's quiet hours, else in UTC.
func Explain(s Snapshot, now time.Time) Explanation {
	if !follows(&s) {
		s = editFor(&s, now, 0).s
	}
	t := newTeller(&s, now)
	return t.explain()
}

// teller puts one workspace at one instant into words.
type teller struct {
	s    *Snapshot
	now  time.Time
	zone *time.Location
	d    Decision
}

func newTeller(s *Snapshot, now time.Time) *teller {
	t := &teller{s: s, now: now.UTC(), zone: time.UTC}
	t.d, _ = Evaluate(s, now)
	for _, c := range []*schedule.Cron{s.Workspace.Autostart, s.Workspace.Autostop, s.Owner.QuietHours} {
		if c != nil && c.Err() == nil {
			t.zone = c.Location()
			break
		}
	}
	return t
}

func (t *teller) explain() Explanation {
	s := t.s
	x := Explanation{Workspace: nameOf(s), At: t.now, Status: s.Status(), zone: t.zone}
	x.HeldUntil, x.Holds = t.holds()
	if t.d.Err != nil {
		x.Error = t.d.Err.Error()
	}
	v := look(s, t.now)
	var next armed
	for r := RuleNone + 1; r < ruleEnd; r++ {
		a, acts := v.fires(r, s)
		e := t.rule(r, a, acts)
		if at := e.ChangesAt; !at.IsZero() && (x.NextAt.IsZero() || at.Before(x.NextAt)) {
			x.Next, x.NextAt, next = r, at, a
		}
		x.Rules = append(x.Rules, e)
	}
	x.Summary = t.summary(&x, next)
	return x
}

func nameOf(s *Snapshot) string {
	if s.Workspace.Name != "" {
		return s.Workspace.Name
	}
	return s.Workspace.ID.String()
}

// holds lists the holds that cover now, and the latest of their ends.
func (t *teller) holds() (end time.Time, texts []string) {
	s := t.s
	for _, h := range []struct {
		of string
		*Hold
	}{{"", &s.Workspace.Hold}, {"template ", &s.Template.Hold}, {"engine ", &s.Engine.Hold}} {
		if h.Until.After(t.now) {
			end = micros.Later(end, h.Until)
			texts = append(texts, fmt.Sprintf("%sheld until %s: %s", h.of, t.stamp(h.Until), h.describe()))
		}
	}
	p := &s.Template.Policy
	if until, held := p.Holidays.Covering(t.now); held && p.Holidays.Err() == nil {
		end = micros.Later(end, until.UTC())
		texts = append(texts, fmt.Sprintf("holidays until %s: %s", t.stamp(until), p.holidaysHold()))
	}
	return end, texts
}

func (t *teller) rule(r Rule, a armed, acts instant) RuleExplanation {
	now := at(t.now)
	e := RuleExplanation{Rule: r, Compared: t.compared(r, a)}
	switch {
	case !a.is():
		e.Verdict, e.Because = VerdictOff, because(a.obstacle, t.s)
	case r == t.d.Rule:
		e.Verdict, e.ChangesAt = VerdictActs, t.now
	case acts <= now:
		e.Verdict, e.ChangesAt = VerdictDue, t.now
		e.Because = t.d.Rule.String() + " comes first"
	default:
		e.Verdict, e.ChangesAt = VerdictWaits, acts.time()
		if a.at < acts {
			e.Because = t.heldBecause(r, a)
		}
		if a.at <= now {
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

// heldBecause names what keeps a rule from acting when what it compares is met.
func (t *teller) heldBecause(r Rule, a armed) string {
	s, kind := t.s, kindOf(r, t.s)
	met, b, grace := max(a.at, at(t.now)), &s.Workspace.Backoff, graceOf(kind)
	for _, h := range []struct {
		of string
		*Hold
	}{{"workspace", &s.Workspace.Hold}, {"template", &s.Template.Hold}, {"engine", &s.Engine.Hold}} {
		switch end := h.end(kind); {
		case met < end:
			return fmt.Sprintf("the %s is held until %s: %s", h.of, t.stamp(h.Until), h.describe())
		case a.at < end.plus(grace) && met < end.plus(grace+jitter(s)):
			return fmt.Sprintf("the hold of the %s ended at %s, and leaves %s", h.of, t.stamp(h.Until), span(grace+jitter(s)))
		}
	}
	switch f := floor(s, kind); {
	case met < f && f == at(s.Engine.SettleUntil):
		return "activity that was not told during an outage may come until " + t.stamp(f.time())
	case met < f:
		return "a change that made it sooner leaves time until " + t.stamp(f.time())
	case postponed(s, kind, met) > met:
		return fmt.Sprintf("tried again at %s after attempt %d: %s: %s", t.stamp(b.Until), b.Attempts, text.Quoted(string(b.Cause)), text.Quoted(b.Message))
	}
	return "holidays of the template: " + s.Template.Policy.Holidays.String()
}

func (t *teller) summary(x *Explanation, next armed) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s. ", text.Quoted(x.Workspace), state(t.s))
	if why := suspended(t.s); why != none {
		fmt.Fprintf(&b, "Nothing happens by itself: %s.", why)
		return b.String()
	}
	switch {
	case t.d.Acts():
		fmt.Fprintf(&b, "Now: %s", t.sentence(t.d.Rule, next))
		if t.d.Missed {
			b.WriteString(", but it is too late for that: this start is skipped")
		}
	case x.Next != RuleNone:
		fmt.Fprintf(&b, "Next: %s, at %s (in %s)", t.sentence(x.Next, next), t.stamp(x.NextAt), span(x.NextAt.Sub(t.now)))
	default:
		b.WriteString("Nothing will happen by itself")
	}
	b.WriteString(".")
	for _, h := range x.Holds {
		b.WriteString(" " + strings.ToUpper(h[:1]) + h[1:] + ".")
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
func (t *teller) sentence(r Rule, a armed) string {
	s := t.s
	switch r {
	case RuleAutostop:
		if a.since == always {
			return "it stops because its owner is suspended"
		}
		return "it stops at its deadline"
	case RuleAutostart:
		return "it starts by its schedule (" + s.Workspace.Autostart.Humanize() + ")"
	case RuleStartRetry:
		return "its start is tried again"
	case RuleFailedCleanup:
		return "a stop cleans up after the " + s.Build.Status.String() + " " + s.Build.Transition.String()
	case RuleDormancy:
		if a.since == always {
			return "it goes dormant because its owner is suspended"
		}
		return "it goes dormant, unused for " + span(a.wait)
	case RuleAutodelete:
		if dormant(s) {
			return "it is deleted, dormant since " + t.stamp(s.Workspace.DormantAt)
		}
		return "it is deleted, stopped since " + t.stamp(s.Build.CompletedAt)
	case RuleExtend:
		return "its deadline moves because it runs at its autostart time"
	case RuleReminder:
		return "its owner is reminded of the stop at " + t.stamp(a.since.time())
	}
	return "its owner is reminded of the deletion at " + t.stamp(a.since.time())
}

// String renders the explanation as text, one rule a line.
func (x Explanation) String() string {
	var b strings.Builder
	b.WriteString(x.Summary + "\n")
	for _, r := range x.Rules {
		fmt.Fprintf(&b, "  %-15s %-5s", r.Rule, r.Verdict)
		for _, part := range []string{r.Compared, r.Because} {
			if part != "" {
				b.WriteString("  " + part + ";")
			}
		}
		if r.Verdict == VerdictWaits || r.Verdict == VerdictHeld {
			b.WriteString("  acts at " + stamp(r.ChangesAt.In(cmp.Or(x.zone, time.UTC))))
		}
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), ";\n", "\n")
}
