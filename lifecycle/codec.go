package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/unread"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// This file is the one place that knows how a policy is written down. Every store keeps this form, so a field that is
// added to [Policy] is added to members and nowhere else.

// member is one member of the JSON object of a policy.
type member struct {
	name string
	// value points to something that encoding/json reads and writes.
	value any
	// zero values are not written.
	zero bool
}

func memberOf[T comparable](name string, value *T) member {
	return member{name, value, *value == *new(T)}
}

// members are all that this version knows, in the order in which they are written. Holidays are a text here, because a
// text that cannot be read must not spoil the rest.
func (p *Policy) members(holidays *string) []member {
	return []member{
		memberOf("default_ttl", (*durationText)(&p.DefaultTTL)),
		memberOf("activity_bump", (*durationText)(&p.ActivityBump)),
		memberOf("failure_ttl", (*durationText)(&p.FailureTTL)),
		memberOf("time_til_dormant", (*durationText)(&p.TimeTilDormant)),
		memberOf("time_til_autodelete", (*durationText)(&p.TimeTilAutodelete)),
		memberOf("reminder_lead", (*durationText)(&p.ReminderLead)),
		memberOf("autostart_days", &p.AutostartDays),
		memberOf("requirement_days", &p.Requirement.Days),
		memberOf("requirement_weeks", &p.Requirement.Weeks),
		memberOf("allow_user_autostart", &p.AllowUserAutostart),
		memberOf("allow_user_ttl", &p.AllowUserTTL),
		memberOf("require_active_version", &p.RequireActiveVersion),
		memberOf("min_extend", (*durationText)(&p.MinExtend)),
		memberOf("max_runtime", (*durationText)(&p.MaxRuntime)),
		memberOf("delete_stopped", (*durationText)(&p.DeleteStopped)),
		memberOf("delete_at_deadline", &p.DeleteAtDeadline),
		memberOf("dormant_when_suspended", &p.DormantWhenSuspended),
		memberOf("start_retry_max", &p.StartRetry.Max),
		memberOf("start_retry_initial", (*durationText)(&p.StartRetry.Initial)),
		memberOf("start_retry_max_interval", (*durationText)(&p.StartRetry.MaxInterval)),
		memberOf("max_lateness", (*durationText)(&p.MaxLateness)),
		memberOf("extend_at_autostart", &p.ExtendAtAutostart),
		memberOf("jitter", (*durationText)(&p.Jitter)),
		memberOf("holidays", holidays),
		memberOf("holidays_hold", &p.HolidaysHold),
		memberOf("retry_max", &p.Retry.Max),
		memberOf("retry_initial", (*durationText)(&p.Retry.Initial)),
		memberOf("retry_max_interval", (*durationText)(&p.Retry.MaxInterval)),
	}
}

// durationText is a duration as people write it: 8h0m0s.
type durationText time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d durationText) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *durationText) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = durationText(parsed)
	return err
}

// errUnreadablePolicy marks the holidays of a policy that [ReadPolicy] could not use at all.
var errUnreadablePolicy = errors.New("stored policy cannot be used")

// MarshalJSON writes a policy as a JSON object: durations like "8h0m0s", days like "Mon-Fri", holidays as their text, and
// nothing for what is zero. Members that were read and are not known to this version are written as they were read, and
// so is a policy that [ReadPolicy] could not read. Days that do not exist are an error.
func (p Policy) MarshalJSON() ([]byte, error) {
	holidays := p.Holidays.String()
	if errors.Is(p.Holidays.Err(), errUnreadablePolicy) { // the whole policy is there
		if json.Valid([]byte(holidays)) {
			return []byte(holidays), nil
		}
		return json.Marshal(holidays) // which is no policy either
	}
	var known []byte
	for _, m := range p.members(&holidays) {
		if m.zero {
			continue
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("policy: %s: %w", m.name, err)
		}
		known = fmt.Appendf(known, ",%q:%s", m.name, value)
	}
	if len(known) == 0 {
		known = []byte{'{'}
	}
	known[0] = '{'
	return unread.Add(append(known, '}'), p.unread), nil
}

// UnmarshalJSON reads what MarshalJSON writes and replaces the policy. Members that this version does not know are kept
// for MarshalJSON. A value that cannot be read is an [*invalid.Error] named as in JSON; use [ReadPolicy] for stored policies.
func (p *Policy) UnmarshalJSON(text []byte) error {
	read, err := decodePolicy(text)
	if err == nil {
		err = read.Holidays.Err()
	}
	if err != nil {
		return err
	}
	*p = read
	return nil
}

// Unknown returns the names of members that were read and that this version does not know, in order. In a stored policy they are a later
// version's; in one that somebody has written they are typos, and a policy without the rule that was meant. Refuse it.
func (p *Policy) Unknown() []string { return p.unread.Names() }

// ReadPolicy reads a stored policy, and is for stores: it never fails, so that one policy that cannot be read, or that
// [Policy.Validate] refuses, is no error of its neighbours. To act on such a policy would be wrong, whoever wrote it; its
// Holidays then have an Err, which keeps the workspaces of the template as they are and says why. Written again, it is what it
// was, as a JSON string if it was no JSON.
func ReadPolicy(text []byte) Policy {
	p, err := decodePolicy(text)
	if err == nil && p.Holidays.Err() == nil {
		err = p.Validate()
	}
	if err != nil {
		return Policy{Holidays: schedule.UnusableDates(string(text), fmt.Errorf("%w: %w", errUnreadablePolicy, err))}
	}
	return p
}

// decodePolicy fails for everything but holidays that cannot be read: those have an Err.
func decodePolicy(text []byte) (p Policy, err error) {
	var left map[string]json.RawMessage
	if err := json.Unmarshal(text, &left); err != nil {
		return Policy{}, invalid.New("policy", string(text), "must be a JSON object: %v", err)
	}
	var holidays string
	for _, m := range p.members(&holidays) {
		if value, ok := left[m.name]; ok {
			if err := json.Unmarshal(value, m.value); err != nil {
				return Policy{}, invalid.New("policy."+m.name, string(value), "cannot be read: %v", err)
			}
			delete(left, m.name)
		}
	}
	p.Holidays = schedule.ReadDates(holidays)
	p.unread = unread.Members(left)
	return p, nil
}
