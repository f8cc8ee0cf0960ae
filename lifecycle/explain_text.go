package lifecycle

import (
	"fmt"
	"strings"
	"time"
)

// compared says what a rule compares, in the values of this workspace, and which side is how far ahead: "now >= deadline"
// with the values in it would read as if it were true. Of a rule that is off it shows what the rule would look at.
func compared(r Rule, a armed, s *Snapshot, now time.Time) string {
	switch {
	case r == RuleAutostart:
		return comparedAutostart(a, s, now)
	case !a.is() && a.obstacle != tooLateToRemind:
		return facts(r, s, now)
	}
	switch r {
	case RuleAutostop:
		if a.at == always {
			return "owner is suspended"
		}
		return comparison("deadline", a, now)
	case RuleFailedCleanup:
		return fmt.Sprintf("%s %s, ended %s; cleaned up after more than %s%s; failed cleanups so far %d",
			s.Build.Transition, s.Build.Status, when(a.since.time(), now), span(a.wait), notBefore(a), s.Workspace.Failures)
	case RuleDormancy:
		return unusedFor(a.since, now) + comparedDormancy(a, now) + notBefore(a)
	case RuleAutodelete:
		return comparison("deletion", a, now)
	case RuleExtend:
		return "next autostart time " + when(a.at.time(), now)
	case RuleReminder:
		return fmt.Sprintf("stop at %s; reminder from %s before it", when(a.since.time(), now), span(-a.wait)) + notBefore(a)
	}
	return ""
}

// facts shows what a rule that is off would look at.
func facts(r Rule, s *Snapshot, now time.Time) string {
	switch r {
	case RuleAutostop:
		return setTo("deadline", s.Build.Deadline)
	case RuleFailedCleanup:
		return fmt.Sprintf("last build: %s %s; failure ttl %s", s.Build.Transition, s.Build.Status, span(s.Template.Policy.FailureTTL))
	case RuleDormancy:
		return unusedFor(lastUsed(s), now)
	case RuleAutodelete:
		return setTo("deletion", s.Workspace.DeletingAt)
	case RuleReminder:
		return "reminder lead " + span(s.Template.Policy.ReminderLead)
	}
	return ""
}

func setTo(name string, t time.Time) string {
	if t.IsZero() {
		return name + " not set"
	}
	return name + " " + stamp(t)
}

// comparison compares now with an instant that the rule waits for, and that the spread of the herd moves.
func comparison(name string, a armed, now time.Time) string {
	text := name + " " + stamp(a.since.time())
	if a.wait > 0 {
		text += fmt.Sprintf(" + %s (spread of the herd)", a.wait.Round(time.Second))
	}
	switch d := now.Sub(a.met().time()); {
	case d < 0:
		text = fmt.Sprintf("now %s is %s before the %s", stamp(now), span(-d), text)
	case d > 0:
		text = fmt.Sprintf("now %s is %s after the %s", stamp(now), span(d), text)
	default:
		text = "now is the " + text
	}
	return text + notBefore(a)
}

// notBefore names what a rule waits for beyond what it compares: the grace of a policy change, the pause after a failed
// attempt, somebody's activity.
func notBefore(a armed) string {
	if a.at > a.met()+1 { // one more is that a threshold has to be exceeded
		return "; not before " + stamp(a.at.time())
	}
	return ""
}

func comparedAutostart(a armed, s *Snapshot, now time.Time) string {
	c := s.Workspace.Autostart
	switch {
	case c == nil:
		return ""
	case c.Err() != nil:
		return fmt.Sprintf("schedule %q", c.Text())
	case !a.is():
		return c.Humanize()
	}
	return fmt.Sprintf("%s; at rest since %s, next allowed start %s",
		c.Humanize(), stamp(restedSince(s)), when(a.at.time().In(c.Location()), now))
}

func unusedFor(used instant, now time.Time) string {
	if used == unset {
		return "never used"
	}
	return fmt.Sprintf("unused for %s (since %s)", span(now.Sub(used.time())), stamp(used.time()))
}

func comparedDormancy(a armed, now time.Time) string {
	switch left := a.met().time().Sub(now); {
	case left < 0:
		return ", which is more than " + span(a.wait)
	case left == 0:
		return ", which has to be exceeded"
	default:
		return fmt.Sprintf(", which is %s short of %s", span(left), span(a.wait))
	}
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
