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

// decodePolicy never fails: to act on a policy that cannot be read would be wrong, and an error would keep all other
// templates waiting. Every day may be a holiday then, which keeps the workspaces of the template as they are and says why.
func decodePolicy(text []byte) lifecycle.Policy {
	var j policyJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return lifecycle.Policy{Holidays: schedule.UnusableDates(string(text), fmt.Errorf("stored policy: %w", err))}
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
	if j.Holidays != nil {
		p.Holidays = schedule.ReadDates(*j.Holidays)
	}
	return p
}

// maxPolicies bounds how many decoded policies are kept; beyond it they are all forgotten and decoded again.
const maxPolicies = 4096

// policies keeps decoded policies by their text, because a page of a thousand workspaces has few different ones.
type policies struct {
	mu   sync.RWMutex
	seen map[string]lifecycle.Policy
}

func (c *policies) get(text []byte) lifecycle.Policy {
	c.mu.RLock()
	p, ok := c.seen[string(text)]
	c.mu.RUnlock()
	if ok {
		return p
	}
	if p = decodePolicy(text); p.Holidays.Err() != nil {
		return p // to be tried again: it may name a time zone that this machine is about to learn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxPolicies {
		c.seen = make(map[string]lifecycle.Policy)
	}
	c.seen[string(text)] = p
	return p
}
