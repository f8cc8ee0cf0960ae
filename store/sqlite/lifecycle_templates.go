package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
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
	var policy []byte
	ok, err = s.queryRow(ctx, `
		SELECT id, revision, organization_id, name, active_version_id, hold_until, stop_floor, delete_floor, policy
		FROM {templates} WHERE id = ?`, []any{blob(id)},
		&t.ID, &k.revision, &t.OrganizationID, &t.Name, &t.ActiveVersionID,
		into(&t.HoldUntil), into(&t.StopFloor), into(&t.DeleteFloor), &policy)
	if ok {
		t.Policy = lifecycle.ReadPolicy(policy)
	}
	return k, ok, err
}

const putTemplate = `
INSERT INTO {templates} (id, revision, sweep_at, organization_id, name, active_version_id,
	hold_until, stop_floor, delete_floor, policy)
VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
	revision = {templates}.revision + 1, sweep_at = excluded.sweep_at, sweep_after = x'',
	organization_id = excluded.organization_id, name = excluded.name, active_version_id = excluded.active_version_id,
	hold_until = excluded.hold_until, stop_floor = excluded.stop_floor, delete_floor = excluded.delete_floor,
	policy = excluded.policy`

// PutTemplate implements [lifecycle.Registry].
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	policy, err := json.Marshal(t.Policy)
	if err != nil {
		return fmt.Errorf("put template %s: %w", t.ID, err)
	}
	err = s.write(ctx, func(tx *tx) error {
		_, err := tx.exec(putTemplate, blob(t.ID), micros(now), blob(t.OrganizationID), form.Text(t.Name), blob(t.ActiveVersionID),
			micros(t.HoldUntil), micros(t.StopFloor), micros(t.DeleteFloor), string(policy))
		return err
	})
	if err == nil {
		err = s.sweep(ctx)
	}
	return unavailable(err, "put template %s", t.ID)
}

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
