package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// templateCache keeps the templates that were read, each at its latest known revision. What a template is at a revision
// never changes, so nothing in it is ever wrong, only outdated. It grows with the number of templates.
type templateCache struct {
	mu   sync.RWMutex
	kept map[uuid.UUID]keptTemplate
}

type keptTemplate struct {
	revision int64
	lifecycle.Template
}

// get returns a template at a revision; ok is false if it has another one by now.
func (c *templateCache) get(ctx context.Context, s *Store, id uuid.UUID, revision int64) (t lifecycle.Template, ok bool, err error) {
	c.mu.RLock()
	k, ok := c.kept[id]
	c.mu.RUnlock()
	if ok && k.revision == revision {
		return k.Template, true, nil
	}
	k, ok, err = s.template(ctx, id)
	if err != nil || !ok {
		return lifecycle.Template{}, false, err
	}
	// What cannot be read is tried again: it may name a time zone that this machine is about to learn.
	if k.Policy.Holidays.Err() == nil {
		c.put(k)
	}
	return k.Template, k.revision == revision, nil
}

func (c *templateCache) put(k keptTemplate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[uuid.UUID]keptTemplate{}
	}
	if k.revision >= c.kept[k.ID].revision {
		c.kept[k.ID] = k
	}
}

// template reads a template.
func (s *Store) template(ctx context.Context, id uuid.UUID) (k keptTemplate, ok bool, err error) {
	t := &k.Template
	p := &t.Policy
	var durations [10]int64
	var days, requirement int64
	var holidays string
	ok, err = s.queryRow(ctx, `
		SELECT id, revision, organization_id, name, active_version_id, hold_until, stop_floor, delete_floor,
			default_ttl, activity_bump, failure_ttl, time_til_dormant, time_til_autodelete, reminder_lead,
			autostart_days, requirement_days, requirement_weeks,
			allow_user_autostart, allow_user_ttl, require_active_version,
			max_lateness, extend_at_autostart, jitter, holidays, retry_max, retry_initial, retry_max_interval
		FROM {templates} WHERE id = ?`, []any{blob(id)},
		&t.ID, &k.revision, &t.OrganizationID, &t.Name, &t.ActiveVersionID, into(&t.HoldUntil), into(&t.StopFloor), into(&t.DeleteFloor),
		&durations[0], &durations[1], &durations[2], &durations[3], &durations[4], &durations[5],
		&days, &requirement, &p.Requirement.Weeks,
		&p.AllowUserAutostart, &p.AllowUserTTL, &p.RequireActiveVersion,
		&durations[6], &p.ExtendAtAutostart, &durations[7], &holidays, &p.Retry.Max, &durations[8], &durations[9])
	for i, d := range policyDurations(p) {
		*d = time.Duration(durations[i])
	}
	p.AutostartDays, p.Requirement.Days = schedule.Days(days), schedule.Days(requirement)
	p.Holidays = schedule.ReadDates(holidays)
	return k, ok, err
}

// policyDurations are the durations of a policy in the order of their columns.
func policyDurations(p *lifecycle.Policy) [10]*time.Duration {
	return [10]*time.Duration{
		&p.DefaultTTL, &p.ActivityBump, &p.FailureTTL, &p.TimeTilDormant, &p.TimeTilAutodelete, &p.ReminderLead,
		&p.MaxLateness, &p.Jitter, &p.Retry.Initial, &p.Retry.MaxInterval,
	}
}

// PutTemplate implements [lifecycle.Registry].
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	args := []any{
		blob(t.ID), micros(now), blob(t.OrganizationID), t.Name, blob(t.ActiveVersionID),
		micros(t.HoldUntil), micros(t.StopFloor), micros(t.DeleteFloor),
	}
	p := &t.Policy
	for _, d := range policyDurations(p) {
		args = append(args, int64(*d))
	}
	args = append(args, int64(p.AutostartDays), int64(p.Requirement.Days), p.Requirement.Weeks,
		flag(p.AllowUserAutostart), flag(p.AllowUserTTL), flag(p.RequireActiveVersion), flag(p.ExtendAtAutostart),
		p.Holidays.String(), p.Retry.Max)
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(putTemplate, args...)
		return err
	})
	if err == nil {
		err = s.sweep(ctx)
	}
	return unavailable(err, "put template %s", t.ID)
}

const putTemplate = `
INSERT INTO {templates} (id, revision, sweep_at, organization_id, name, active_version_id, hold_until, stop_floor, delete_floor,
	default_ttl, activity_bump, failure_ttl, time_til_dormant, time_til_autodelete, reminder_lead,
	max_lateness, jitter, retry_initial, retry_max_interval,
	autostart_days, requirement_days, requirement_weeks,
	allow_user_autostart, allow_user_ttl, require_active_version, extend_at_autostart, holidays, retry_max)
VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET (revision, sweep_at, sweep_after, organization_id, name, active_version_id,
	hold_until, stop_floor, delete_floor,
	default_ttl, activity_bump, failure_ttl, time_til_dormant, time_til_autodelete, reminder_lead,
	max_lateness, jitter, retry_initial, retry_max_interval,
	autostart_days, requirement_days, requirement_weeks,
	allow_user_autostart, allow_user_ttl, require_active_version, extend_at_autostart, holidays, retry_max)
= ({templates}.revision + 1, excluded.sweep_at, x'', excluded.organization_id, excluded.name, excluded.active_version_id,
	excluded.hold_until, excluded.stop_floor, excluded.delete_floor,
	excluded.default_ttl, excluded.activity_bump, excluded.failure_ttl, excluded.time_til_dormant,
	excluded.time_til_autodelete, excluded.reminder_lead,
	excluded.max_lateness, excluded.jitter, excluded.retry_initial, excluded.retry_max_interval,
	excluded.autostart_days, excluded.requirement_days, excluded.requirement_weeks,
	excluded.allow_user_autostart, excluded.allow_user_ttl, excluded.require_active_version, excluded.extend_at_autostart,
	excluded.holidays, excluded.retry_max)`

// Template implements [lifecycle.Registry].
func (s *Store) Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error) {
	err := s.ready(ctx)
	var k keptTemplate
	var ok bool
	if err == nil {
		k, ok, err = s.template(ctx, id)
	}
	if err != nil || !ok {
		return lifecycle.Template{}, false, unavailable(err, "template %s", id)
	}
	return k.Template, true, nil
}
