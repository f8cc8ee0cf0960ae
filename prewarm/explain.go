package prewarm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
)

// Explanation says what a pool does and why.
type Explanation struct {
	Pool, Version string
	Decision      Decision
	Failures      Failures
	// Lines say it for people, the most important first.
	Lines []string
}

// String returns the lines.
func (e Explanation) String() string { return strings.Join(e.Lines, "\n") }

// Explain says what [Plan] decides on the same values, and why, in words and values that can be checked.
func Explain(spec Spec, members []Member, failures Failures, now time.Time) Explanation {
	d := Plan(spec, members, failures, now)
	spec = spec.withDefaults()
	e := Explanation{Pool: spec.Name, Version: spec.Version, Decision: d, Failures: failures.of(spec.Version)}
	c := d.Counts
	e.say("%s: %d ready, %d starting, %d held, %d cleaning; %s", spec.Name, c.Ready, c.Starting, c.Held, c.Cleaning, d.Target)
	e.say("%d claimed, %d built for one claim, %d of an old version, %d in quarantine, %d being destroyed",
		c.Claimed, c.Cold, c.Old, c.Quarantined, c.Deleting)
	if spec.Err != nil {
		e.say("the stored spec cannot be read: %v; the pool serves what it has", spec.Err)
	}
	if d.Blocked != BlockedNone {
		e.say("%s", d.whyBlocked(e.Failures, now))
	}
	for _, line := range d.summary() {
		e.say("%s", line)
	}
	if len(d.Actions) == 0 && d.Blocked == BlockedNone {
		e.say("nothing to do")
	}
	return e
}

func (e *Explanation) say(format string, args ...any) {
	e.Lines = append(e.Lines, fmt.Sprintf(format, args...))
}

// text says what has failed, for a sentence.
func (f Failures) text() string {
	if f.Count == 1 {
		return fmt.Sprintf("a failure with %q", f.Message)
	}
	return fmt.Sprintf("%s failures in a row, the last with %q", text.Number(f.Count), f.Message)
}

func (d Decision) whyBlocked(f Failures, now time.Time) string {
	switch d.Blocked {
	case BlockedPaused:
		return "nothing is created: the pool is paused"
	case BlockedSpec:
		return "nothing is created: the wanted size is unknown"
	case BlockedBackoff:
		return fmt.Sprintf("nothing is created for %s, after %s", d.Until.Sub(now).Round(time.Second), f.text())
	case BlockedProbing:
		return "one member at a time is tried, after " + f.text()
	case BlockedConcurrency:
		return "more will be created when some of those that start are ready"
	case BlockedRollover:
		return "more will be created as members of the old version go"
	}
	return "nothing more is created: the ceiling is reached"
}

// summary says how many actions there are of each kind and reason.
func (d Decision) summary() []string {
	type group struct {
		kind ActionKind
		why  Reason
	}
	counts := make(map[group]int)
	for _, a := range d.Actions {
		counts[group{a.Kind, a.Reason}]++
	}
	lines := make([]string, 0, len(counts))
	for g, n := range counts {
		lines = append(lines, fmt.Sprintf("%s %d: %s", g.kind, n, g.why))
	}
	slices.Sort(lines)
	return lines
}

// MissReason says why a claim found no member. It is a closed set: it labels metrics.
type MissReason string

// The reasons of misses.
const (
	// MissZero: the pool's size is zero.
	MissZero MissReason = "size_zero"
	// MissDrained: all ready members were claimed faster than new ones are built.
	MissDrained MissReason = "drained"
	// MissFailing: creations fail and wait for the next try.
	MissFailing MissReason = "failing"
	// MissHeld: members wait for quota or admission.
	MissHeld MissReason = "held"
	// MissPaused: the pool is paused, or its spec cannot be read.
	MissPaused MissReason = "paused"
	// MissReserved: ready members are kept for others.
	MissReserved MissReason = "reserved"
	// MissExpiring: ready members have less life left than asked for.
	MissExpiring MissReason = "expiring"
	// MissVersion: ready members are of an old version, which is not served.
	MissVersion MissReason = "old_version"
	// MissRaced: a member was there when the reason was looked for. Another claim was faster, or it came just then.
	MissRaced MissReason = "raced"
	// MissUnknown: the store did not say.
	MissUnknown MissReason = "unknown"
)

// MissReasons lists every reason.
func MissReasons() []MissReason {
	return []MissReason{
		MissZero, MissDrained, MissFailing, MissHeld, MissPaused, MissReserved, MissExpiring, MissVersion, MissRaced, MissUnknown,
	}
}

// Diagnosis says why a claim found no member, and when it would.
type Diagnosis struct {
	Reason MissReason `json:"reason,omitempty"`
	// Estimate is when a member is to be expected for the claim, zero if nobody can say.
	Estimate time.Time `json:"estimate,omitzero"`
}

// String says it for people.
func (d Diagnosis) String() string {
	if d.Estimate.IsZero() {
		return string(d.Reason)
	}
	return fmt.Sprintf("%s; a member is expected at %s", d.Reason, d.Estimate.Format(time.RFC3339))
}

// Diagnose says why a claim that may have members of the given picks found none, with a number of claims ahead of it in
// the line.
func Diagnose(spec Spec, members []Member, failures Failures, picks []Pick, ahead int, now time.Time) Diagnosis {
	d := Plan(spec, members, failures, now)
	spec = spec.withDefaults()
	return Diagnosis{Reason: spec.missed(d, members, picks), Estimate: estimate(spec, d, members, ahead, micros.Of(now))}
}

func (s *Spec) missed(d Decision, members []Member, picks []Pick) MissReason {
	var reserved, expiring, old bool
	for i := range members {
		m := &members[i]
		if m.State != Ready {
			continue
		}
		for _, p := range picks {
			switch {
			case p.Fits(m):
				return MissRaced
			case m.Version == p.Version && m.For == p.For:
				expiring = true
			case m.Version == p.Version:
				reserved = true
			default:
				old = true
			}
		}
	}
	switch c := d.Counts; {
	case d.Blocked == BlockedPaused || d.Blocked == BlockedSpec:
		return MissPaused
	case expiring:
		return MissExpiring
	case reserved:
		return MissReserved
	case d.Target.Size == d.Target.Waiting && c.pending() == 0 || s.Ceiling == 0:
		return MissZero
	case d.Blocked == BlockedBackoff || d.Blocked == BlockedProbing:
		return MissFailing
	case old && c.Ready == 0 && s.Rollover.AtOnce:
		return MissVersion
	case c.Held > 0 && c.Starting == 0:
		return MissHeld
	}
	return MissDrained
}

// estimate is when the member after so many others is ready, by the time that builds take: those that start now, then
// those that are about to be created.
func estimate(spec Spec, d Decision, members []Member, ahead int, now time.Time) time.Time {
	build := spec.Demand.BuildTime
	if build <= 0 {
		return time.Time{}
	}
	var starting []time.Time
	for i := range members {
		m := &members[i]
		if m.State == Starting && !m.cold() && m.Version == spec.Version {
			starting = append(starting, micros.Later(m.CreatedAt.Add(build), now))
		}
	}
	for _, a := range d.Actions {
		if a.Kind == ActionCreate {
			starting = append(starting, now.Add(build))
		}
	}
	if ahead >= len(starting) {
		return time.Time{}
	}
	slices.SortFunc(starting, time.Time.Compare)
	return starting[ahead]
}
