package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// compared says what a rule compares, in the values of this workspace, and which side is how far ahead: "now >= deadline"
// with the values in it would read as if it were true. Of a rule that is off it shows what the rule would look at.
func (t *teller) compared(r Rule, a armed) string {
	switch {
	case r == RuleAutostart:
		return t.comparedAutostart(a)
	case !a.is() && a.obstacle != tooLateToRemind:
		return t.facts(r)
	case a.since == always:
		return "owner is suspended"
	}
	switch s := t.s; r {
	case RuleAutostop:
		return t.comparison("deadline", a)
	case RuleStartRetry:
		return fmt.Sprintf("%s %s, ended %s; tried again after %s; failed starts so far %d of %d",
			s.Build.Transition, s.Build.Status, t.when(a.since), span(a.wait), s.Workspace.StartFailures, s.Template.Policy.StartRetry.Max)
	case RuleFailedCleanup:
		return fmt.Sprintf("%s %s, ended %s; cleaned up after more than %s%s; failed cleanups so far %d",
			s.Build.Transition, s.Build.Status, t.when(a.since), span(a.wait), t.notBefore(a), s.Workspace.Failures)
	case RuleDormancy:
		return t.unusedFor(a.since) + t.comparedDormancy(a) + t.notBefore(a)
	case RuleAutodelete:
		return t.comparison("deletion", a)
	case RuleExtend:
		return "next autostart time " + t.when(a.at)
	case RuleReminder:
		return fmt.Sprintf("stop at %s; reminder from %s before it", t.when(a.since), span(-a.wait)) + t.notBefore(a)
	case RuleDeleteReminder:
		return fmt.Sprintf("deletion at %s; reminder from %s before it", t.when(a.since), span(-a.wait)) + t.notBefore(a)
	}
	return ""
}

// facts shows what a rule that is off would look at.
func (t *teller) facts(r Rule) string {
	s := t.s
	switch r {
	case RuleAutostop:
		return t.setTo("deadline", s.Build.Deadline)
	case RuleFailedCleanup:
		return fmt.Sprintf("last build: %s %s; failure ttl %s", s.Build.Transition, s.Build.Status, span(s.Template.Policy.FailureTTL))
	case RuleDormancy:
		return t.unusedFor(lastUsed(s))
	case RuleAutodelete:
		return t.setTo("deletion", s.Workspace.DeletingAt)
	case RuleReminder:
		return "reminder lead " + span(s.Template.Policy.ReminderLead)
	}
	return ""
}

func (t *teller) setTo(name string, at time.Time) string {
	if at.IsZero() {
		return name + " not set"
	}
	return name + " " + t.stamp(at)
}

// comparison compares now with an instant that the rule waits for, and that the spread of the herd moves.
func (t *teller) comparison(name string, a armed) string {
	text := name + " " + t.stamp(a.since.time())
	if a.wait > 0 {
		text += fmt.Sprintf(" + %s (spread of the herd)", a.wait.Round(time.Second))
	}
	switch d := t.now.Sub(a.met().time()); {
	case d < 0:
		text = fmt.Sprintf("now %s is %s before the %s", t.stamp(t.now), span(-d), text)
	case d > 0:
		text = fmt.Sprintf("now %s is %s after the %s", t.stamp(t.now), span(d), text)
	default:
		text = "now is the " + text
	}
	return text + t.notBefore(a)
}

// notBefore names what a rule waits for beyond what it compares: the pause after a failed attempt, somebody's activity.
func (t *teller) notBefore(a armed) string {
	if a.at > a.met()+1 { // one more is that a threshold has to be exceeded
		return "; not before " + t.stamp(a.at.time())
	}
	return ""
}

func (t *teller) comparedAutostart(a armed) string {
	c := t.s.Workspace.Autostart
	switch {
	case c == nil:
		return ""
	case c.Err() != nil:
		return fmt.Sprintf("schedule %q", c.Text())
	}
	text := c.Humanize()
	if days := ForbiddenDays(c, t.s.Template.Policy.AutostartDays, t.now); days != 0 {
		text += fmt.Sprintf("; the template forbids %s", days)
	}
	if !a.is() {
		return text
	}
	return fmt.Sprintf("%s; at rest since %s, next allowed start %s", text, t.stamp(restedSince(t.s)), t.when(a.at))
}

func (t *teller) unusedFor(used instant) string {
	if used == unset {
		return "never used"
	}
	return fmt.Sprintf("unused for %s (since %s)", span(t.now.Sub(used.time())), t.stamp(used.time()))
}

func (t *teller) comparedDormancy(a armed) string {
	switch left := a.met().time().Sub(t.now); {
	case left < 0:
		return ", which is more than " + span(a.wait)
	case left == 0:
		return ", which has to be exceeded"
	default:
		return fmt.Sprintf(", which is %s short of %s", span(left), span(a.wait))
	}
}

// when shows an instant and how far it is from now.
func (t *teller) when(i instant) string {
	text := t.stamp(i.time())
	switch d := i.time().Sub(t.now); {
	case i.time().IsZero():
		return text
	case d > 0:
		return text + ", in " + span(d)
	case d < 0:
		return text + ", " + span(-d) + " ago"
	}
	return text + ", now"
}

// stamp shows an instant in the zone of this workspace, without what a monotonic clock would add.
func (t *teller) stamp(at time.Time) string { return stamp(at.In(t.zone)) }

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
