package postgres

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// policyJSON is a policy as the database keeps it. Durations are nanoseconds; what is zero is left out.
type policyJSON struct {
	DefaultTTL           time.Duration `json:"default_ttl,omitempty"`
	ActivityBump         time.Duration `json:"activity_bump,omitempty"`
	FailureTTL           time.Duration `json:"failure_ttl,omitempty"`
	TimeTilDormant       time.Duration `json:"time_til_dormant,omitempty"`
	TimeTilAutodelete    time.Duration `json:"time_til_autodelete,omitempty"`
	ReminderLead         time.Duration `json:"reminder_lead,omitempty"`
	AutostartDays        uint8         `json:"autostart_days,omitempty"` // bit 0 is Monday
	RequirementDays      uint8         `json:"requirement_days,omitempty"`
	RequirementWeeks     int           `json:"requirement_weeks,omitempty"`
	AllowUserAutostart   bool          `json:"allow_user_autostart,omitempty"`
	AllowUserTTL         bool          `json:"allow_user_ttl,omitempty"`
	RequireActiveVersion bool          `json:"require_active_version,omitempty"`
	MaxLateness          time.Duration `json:"max_lateness,omitempty"`
	ExtendAtAutostart    bool          `json:"extend_at_autostart,omitempty"`
	Jitter               time.Duration `json:"jitter,omitempty"`
	Holidays             *string       `json:"holidays,omitempty"` // null: none; "": an empty set
	RetryMax             int           `json:"retry_max,omitempty"`
	RetryInitial         time.Duration `json:"retry_initial,omitempty"`
	RetryMaxInterval     time.Duration `json:"retry_max_interval,omitempty"`
}

func encodePolicy(p lifecycle.Policy) ([]byte, error) {
	j := policyJSON{
		p.DefaultTTL, p.ActivityBump, p.FailureTTL, p.TimeTilDormant, p.TimeTilAutodelete, p.ReminderLead,
		uint8(p.AutostartDays), uint8(p.Requirement.Days), p.Requirement.Weeks,
		p.AllowUserAutostart, p.AllowUserTTL, p.RequireActiveVersion,
		p.MaxLateness, p.ExtendAtAutostart, p.Jitter, nil,
		p.Retry.Max, p.Retry.Initial, p.Retry.MaxInterval,
	}
	if p.Holidays != nil {
		text := p.Holidays.String()
		j.Holidays = &text
	}
	return json.Marshal(j)
}

func decodePolicy(text []byte) (lifecycle.Policy, error) {
	var j policyJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return lifecycle.Policy{}, fmt.Errorf("stored policy: %w", err)
	}
	p := lifecycle.Policy{
		DefaultTTL: j.DefaultTTL, ActivityBump: j.ActivityBump, FailureTTL: j.FailureTTL,
		TimeTilDormant: j.TimeTilDormant, TimeTilAutodelete: j.TimeTilAutodelete, ReminderLead: j.ReminderLead,
		AutostartDays:      schedule.Days(j.AutostartDays),
		Requirement:        schedule.Requirement{Days: schedule.Days(j.RequirementDays), Weeks: j.RequirementWeeks},
		AllowUserAutostart: j.AllowUserAutostart, AllowUserTTL: j.AllowUserTTL, RequireActiveVersion: j.RequireActiveVersion,
		MaxLateness: j.MaxLateness, ExtendAtAutostart: j.ExtendAtAutostart, Jitter: j.Jitter,
		Retry: lifecycle.Retry{Max: j.RetryMax, Initial: j.RetryInitial, MaxInterval: j.RetryMaxInterval},
	}
	if j.Holidays == nil {
		return p, nil
	}
	var err error
	if p.Holidays, err = schedule.ParseDates(*j.Holidays); err != nil {
		return lifecycle.Policy{}, fmt.Errorf("stored policy: %w", err)
	}
	return p, nil
}

// maxPolicies bounds how many decoded policies are kept; beyond it they are all forgotten and decoded again.
const maxPolicies = 4096

// policies keeps decoded policies by their text, because a page of a thousand workspaces has few different ones.
type policies struct {
	mu   sync.RWMutex
	seen map[string]policy
}

// policy is a decoded policy, or why it cannot be decoded.
type policy struct {
	p   lifecycle.Policy
	err error
}

// badPolicyHold is how long a template is held whose stored policy cannot be read, counted from the reading. It is tried
// again after that: the policy may name a time zone that this machine does not know yet.
const badPolicyHold = time.Hour

// into fills in the policy of a template. One that cannot be read suspends the template's workspaces and nothing else: to
// act on a policy without its holidays would be wrong, and an error would keep all other templates waiting.
func (c *policies) into(t *lifecycle.Template, text []byte) {
	found := c.get(text)
	if t.Policy = found.p; found.err == nil {
		return
	}
	if until := stored(time.Now().Add(badPolicyHold)); until.After(t.HoldUntil) {
		t.HoldUntil = until
	}
}

func (c *policies) get(text []byte) policy {
	c.mu.RLock()
	found, ok := c.seen[string(text)]
	c.mu.RUnlock()
	if ok {
		return found
	}
	found.p, found.err = decodePolicy(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxPolicies {
		c.seen = make(map[string]policy)
	}
	c.seen[string(text)] = found
	return found
}
