package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Explanation answers, for one workspace, what is due now and why, what happens next and when, and what stands in the
// way. It is made for people and for JSON; its texts may change from version to version, the verdicts do not.
type Explanation struct {
	Workspace string    `json:"workspace"`
	At        time.Time `json:"at"`
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

// Explain says for every rule what it sees and where it stands at now. It uses the very functions that [Decide] and
// [NextWake] use, so that it cannot disagree with them.
func Explain(s Snapshot, now time.Time) Explanation {
	x := Explanation{Workspace: nameOf(&s), At: now.UTC()}
	d := decide(&s, now)
	if end, held := heldUntil(&s, now); held {
		x.HeldUntil = end.UTC()
	}
	if d.Err != nil {
		x.Error = d.Err.Error()
	}
	for r := RuleNone + 1; r < ruleEnd; r++ {
		e := explainRule(r, &s, d.Rule, now)
		if at := e.ChangesAt; !at.IsZero() && (x.NextAt.IsZero() || at.Before(x.NextAt)) {
			x.Next, x.NextAt = r, at
		}
		x.Rules = append(x.Rules, e)
	}
	if d.Acts() {
		x.Next, x.NextAt = d.Rule, now.UTC()
	}
	x.Summary = summary(&s, &x, d, now)
	return x
}

func nameOf(s *Snapshot) string {
	if s.Workspace.Name != "" {
		return s.Workspace.Name
	}
	return s.Workspace.ID.String()
}

func explainRule(r Rule, s *Snapshot, acting Rule, now time.Time) RuleExplanation {
	e := RuleExplanation{Rule: r, Compared: compared(r, s, now)}
	at, why := fires(r, s, now)
	switch {
	case why != none:
		e.Verdict, e.Because = VerdictOff, why.String()
		switch why {
		case badSchedule:
			e.Because += ": " + s.Workspace.Autostart.Err().Error()
		case badHolidays:
			e.Because += ": " + s.Template.Policy.Holidays.Err().Error()
		}
	case r == acting:
		e.Verdict, e.ChangesAt = VerdictActs, now.UTC()
	case !at.After(now):
		e.Verdict, e.ChangesAt = VerdictDue, now.UTC()
		e.Because = acting.String() + " comes first"
	default:
		e.Verdict, e.ChangesAt = VerdictWaits, at.UTC()
		if armed := arm(r, s).at.time(); !armed.After(now) || armed.Before(at) {
			e.Because = heldBecause(s, micros.Later(armed, now))
			if !armed.After(now) {
				e.Verdict = VerdictHeld
			}
		}
	}
	return e
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

// compared says what a rule compares, in the values of this workspace, and which side is how far ahead: "now >= deadline"
// with the values in it would read as if it were true.
func compared(r Rule, s *Snapshot, now time.Time) string {
	switch r {
	case RuleAutostop:
		if s.Owner.Status == OwnerSuspended {
			return "owner is suspended"
		}
		return comparison(r, s, now, "deadline", s.Build.Deadline)
	case RuleAutostart:
		return comparedAutostart(s, now)
	case RuleFailedCleanup:
		return comparedCleanup(s, now)
	case RuleDormancy:
		return comparedDormancy(s, now)
	case RuleAutodelete:
		return comparison(r, s, now, "deletion", s.Workspace.DeletingAt)
	case RuleExtend:
		if a := armExtend(s); a.is() {
			return "next autostart time " + when(a.at.time(), now)
		}
	case RuleReminder:
		return comparedReminder(s, now)
	}
	return ""
}

// comparison compares now with an instant that the rule waits for, and that the spread of the herd moves.
func comparison(r Rule, s *Snapshot, now time.Time, name string, t time.Time) string {
	if t.IsZero() {
		return name + " not set"
	}
	text, due := name+" "+stamp(t), t
	if offset := jitter(s); offset > 0 {
		text += fmt.Sprintf(" + %s (spread of the herd)", offset.Round(time.Second))
		due = t.Add(offset)
	}
	switch d := now.Sub(due); {
	case d < 0:
		text = fmt.Sprintf("now %s is %s before the %s", stamp(now), span(-d), text)
	case d > 0:
		text = fmt.Sprintf("now %s is %s after the %s", stamp(now), span(d), text)
	default:
		text = "now is the " + text
	}
	return text + notBefore(r, s, due)
}

// notBefore names what a rule waits for beyond what it compares: the grace of a policy change, the pause after a failed
// attempt, somebody's activity.
func notBefore(r Rule, s *Snapshot, due time.Time) string {
	if a := arm(r, s); a.is() && a.at.time().After(due.Add(micros.Tick)) {
		return "; not before " + stamp(a.at.time())
	}
	return ""
}

func comparedAutostart(s *Snapshot, now time.Time) string {
	c := s.Workspace.Autostart
	if c == nil {
		return ""
	}
	if c.Err() != nil {
		return fmt.Sprintf("schedule %q", c.Text())
	}
	text := c.Humanize()
	if a := armAutostart(s); a.is() {
		text += fmt.Sprintf("; at rest since %s, next allowed start %s", stamp(restedSince(s)), when(a.at.time().In(c.Location()), now))
	}
	return text
}

func comparedCleanup(s *Snapshot, now time.Time) string {
	b, ttl := &s.Build, s.Template.Policy.FailureTTL
	if ttl <= 0 || !unclean(b) {
		return fmt.Sprintf("last build: %s %s; failure ttl %s", b.Transition, b.Status, span(ttl))
	}
	pause := max(ttl, retryPause(s, s.Workspace.Failures))
	return fmt.Sprintf("%s %s, ended %s; cleaned up after more than %s%s; failed cleanups so far %d",
		b.Transition, b.Status, when(b.CompletedAt, now), span(pause),
		notBefore(RuleFailedCleanup, s, b.CompletedAt.Add(pause)), s.Workspace.Failures)
}

func comparedDormancy(s *Snapshot, now time.Time) string {
	used, threshold := lastUsed(s), s.Template.Policy.TimeTilDormant
	if used.IsZero() {
		return "never used; dormant after more than " + span(threshold)
	}
	unused := now.Sub(used)
	text := fmt.Sprintf("unused for %s (since %s)", span(unused), stamp(used))
	switch {
	case threshold <= 0:
		return text
	case unused > threshold:
		text += fmt.Sprintf(", which is more than %s", span(threshold))
	case unused == threshold:
		text += ", which has to be exceeded"
	default:
		text += fmt.Sprintf(", which is %s short of %s", span(threshold-unused), span(threshold))
	}
	return text + notBefore(RuleDormancy, s, used.Add(threshold))
}

func comparedReminder(s *Snapshot, now time.Time) string {
	lead := s.Template.Policy.ReminderLead
	if lead <= 0 || s.Build.Deadline.IsZero() {
		return "reminder lead " + span(lead)
	}
	stop := stopAt(s).time()
	return fmt.Sprintf("stop at %s; reminder from %s before it", when(stop, now), span(lead)) + notBefore(RuleReminder, s, stop.Add(-lead))
}

// when shows an instant and how far it is from now.
func when(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return stamp(t)
	case d > 0:
		return stamp(t) + ", in " + span(d)
	case d < 0:
		return stamp(t) + ", " + span(-d) + " ago"
	}
	return stamp(t) + ", now"
}

func summary(s *Snapshot, x *Explanation, d Decision, now time.Time) string {
	if why := suspended(s); why != none {
		return x.Workspace + ": nothing happens by itself: " + why.String() + "."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s. ", x.Workspace, state(s))
	switch {
	case d.Acts():
		fmt.Fprintf(&b, "Now: %s", sentence(d.Rule, s))
		if d.Missed {
			b.WriteString(", but it is too late for that: this start is skipped")
		}
	case x.Next != RuleNone:
		fmt.Fprintf(&b, "Next: %s, at %s (in %s)", sentence(x.Next, s), local(s, x.NextAt), span(x.NextAt.Sub(now)))
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

// state names what a workspace is at the moment.
func state(s *Snapshot) string {
	b := &s.Build
	var text string
	switch {
	case b.Number == 0:
		text = "new"
	case b.Status == JobSucceeded && b.Transition == TransitionStart:
		text = "running"
	case b.Status == JobSucceeded && b.Transition == TransitionStop:
		text = "stopped"
	default:
		text = fmt.Sprintf("in a %s whose job %s", b.Transition, b.Status)
	}
	if dormant(s) {
		text += " and dormant"
	}
	return text
}

// sentence says what a rule is about to do.
func sentence(r Rule, s *Snapshot) string {
	switch r {
	case RuleAutostop:
		if s.Owner.Status == OwnerSuspended {
			return "it stops because its owner is suspended"
		}
		return "it stops at its deadline"
	case RuleAutostart:
		return "it starts by its schedule (" + s.Workspace.Autostart.Humanize() + ")"
	case RuleFailedCleanup:
		return "a stop cleans up after the " + s.Build.Status.String() + " " + s.Build.Transition.String()
	case RuleDormancy:
		return "it goes dormant, unused for " + span(s.Template.Policy.TimeTilDormant)
	case RuleAutodelete:
		return "it is deleted, dormant since " + stamp(s.Workspace.DormantAt)
	case RuleExtend:
		return "its deadline moves because it runs at its autostart time"
	case RuleReminder:
		return "its owner is reminded of the stop at " + stamp(stopAt(s).time())
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

// local shows an instant in the zone of the workspace's schedule, if it has one.
func local(s *Snapshot, t time.Time) string {
	if c := usable(s.Workspace.Autostart); c != nil {
		return stamp(t.In(c.Location()))
	}
	return stamp(t)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("Mon 2006-01-02 15:04:05 MST")
}

// span shows a duration in days, hours, minutes and seconds, without the parts that are zero.
func span(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "under a second"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}
