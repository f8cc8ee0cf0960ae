package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// plan is a template: its policy, and the times of day that stand in workspaces and owners.
type plan struct {
	name      string
	policy    lifecycle.Policy
	autostart *timeOfDay
	autostop  *timeOfDay
	quiet     *timeOfDay
}

type timeOfDay struct{ hour, minute int }

// String returns the cron fields of the time, every day.
func (t timeOfDay) String() string { return fmt.Sprintf("%d %d * * *", t.minute, t.hour) }

// loadPlans reads templates, one a line; see policies.txt.
func loadPlans(file string, text []byte) ([]plan, error) {
	var plans []plan
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		p, err := newPlan(fields)
		if err == nil && find(plans, p.name) != nil {
			err = fmt.Errorf("template %q: is there already", p.name)
		}
		if err != nil {
			return nil, &lineError{file, i + 1, err}
		}
		plans = append(plans, p)
	}
	if len(plans) == 0 {
		return nil, &lineError{file, 1, errors.New("there are no templates")}
	}
	return plans, nil
}

func find(plans []plan, name string) *plan {
	for i := range plans {
		if plans[i].name == name {
			return &plans[i]
		}
	}
	return nil
}

func newPlan(fields []string) (plan, error) {
	p := plan{name: fields[0]}
	if strings.Contains(p.name, "=") {
		return p, fmt.Errorf("template %q: a line begins with a name, then come the settings", p.name)
	}
	if strings.ContainsFunc(p.name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return p, fmt.Errorf("template %q: a name is shown as it is, so it has no control characters", p.name)
	}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		if err := p.set(key, value); err != nil {
			return p, err
		}
	}
	return p, p.validate()
}

// override changes one setting: template.key=value.
func override(plans []plan, text string) error {
	path, value, _ := strings.Cut(text, "=")
	name, key, ok := strings.Cut(path, ".")
	p := find(plans, name)
	switch {
	case !ok:
		return errors.New("must be template.key=value")
	case p == nil:
		return fmt.Errorf("there is no template %q", name)
	}
	if err := p.set(key, value); err != nil {
		return err
	}
	return p.validate()
}

func (p *plan) validate() error {
	if p.policy.Requirement.Days != 0 && p.quiet == nil {
		return errors.New("require: needs quiet hours, such as quiet=03:00")
	}
	return p.policy.Validate()
}

// set changes one setting.
func (p *plan) set(key, value string) (err error) {
	o := &p.policy
	if d := p.durations()[key]; d != nil {
		*d, err = parseSpan(value)
	} else {
		switch key {
		case "autostart":
			p.autostart, err = parseTime(value)
			o.AllowUserAutostart = p.autostart != nil
		case "autostop":
			p.autostop, err = parseTime(value)
		case "retries":
			o.StartRetry.Max, err = parseCount(value)
		case "quiet":
			p.quiet, err = parseTime(value)
		case "days":
			o.AutostartDays, err = schedule.ParseDays(value)
		case "require":
			o.Requirement.Days, err = schedule.ParseDays(value)
		default:
			return fmt.Errorf("setting %q: there is no such one", key)
		}
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

func (p *plan) durations() map[string]*time.Duration {
	o := &p.policy
	return map[string]*time.Duration{
		"ttl": &o.DefaultTTL, "bump": &o.ActivityBump, "remind": &o.ReminderLead, "failure": &o.FailureTTL,
		"dormant": &o.TimeTilDormant, "delete": &o.TimeTilAutodelete, "most": &o.MaxRuntime, "jitter": &o.Jitter, "lateness": &o.MaxLateness,
	}
}

// parseSpan reads a duration as Go writes it, or in days: 90m, 4h, 21d. Off is 0.
func parseSpan(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 3650 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration, such as 30m, 4h or 21d, or off")
	}
	return d, nil
}

// parseCount reads a number of times; off is 0.
func parseCount(text string) (int, error) {
	if text == "off" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 100 {
		return 0, errors.New("must be a number from 0 to 100, or off")
	}
	return n, nil
}

// parseTime reads a time of day; off is none.
func parseTime(text string) (*timeOfDay, error) {
	if text == "off" {
		return nil, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return nil, errors.New("must be a time of day, such as 08:30, or off")
	}
	return &timeOfDay{t.Hour(), t.Minute()}, nil
}

// words describe the policy in a line.
func (p *plan) words() string {
	o := &p.policy
	parts := []string{"started by hand"}
	if p.autostart != nil {
		parts[0] = fmt.Sprintf("starts at %02d:%02d %s", p.autostart.hour, p.autostart.minute, o.AutostartDays)
	}
	if p.autostop != nil {
		parts = append(parts, fmt.Sprintf("stops at %02d:%02d", p.autostop.hour, p.autostop.minute))
	}
	if o.DefaultTTL > 0 {
		parts = append(parts, "stops after "+short(o.DefaultTTL))
	}
	if o.ActivityBump > 0 {
		parts = append(parts, "activity adds "+short(o.ActivityBump))
	}
	if o.MaxRuntime > 0 {
		parts = append(parts, "for at most "+short(o.MaxRuntime))
	}
	if o.StartRetry.Max > 0 {
		parts = append(parts, "failed starts are tried again, "+words.Count(o.StartRetry.Max, "time", "times")+" at most")
	}
	if o.Requirement.Days != 0 {
		parts = append(parts, fmt.Sprintf("must stop at %02d:%02d %s", p.quiet.hour, p.quiet.minute, o.Requirement.Days))
	}
	if o.TimeTilDormant > 0 {
		parts = append(parts, "dormant after "+short(o.TimeTilDormant))
	}
	if o.TimeTilAutodelete > 0 {
		parts = append(parts, "deleted "+short(o.TimeTilAutodelete)+" later")
	}
	return strings.Join(parts, ", ")
}

// short shows a duration in its two largest units.
func short(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "0s"
	}
	return strings.Join(parts, " ")
}
