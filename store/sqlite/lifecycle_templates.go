package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// templateCache keeps the templates that were read, each at its latest known revision. What a template is at a revision
// never changes, so nothing in it is ever wrong, only outdated; the first revision is a random number, so that one that was
// deleted and made again has others. It grows with the number of templates.
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
	// In a transaction of the host it may be what never will have been.
	if k.Policy.Holidays.Err() == nil && s.host == nil {
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
	if kept := c.kept[k.ID]; k.revision >= kept.revision || k.Revision <= kept.Revision {
		c.kept[k.ID] = k
	}
}

// template reads a template.
func (s *Store) template(ctx context.Context, id uuid.UUID) (k keptTemplate, ok bool, err error) {
	err = s.query(ctx, selectTemplate, func(r rows) error {
		ok = true
		return k.read(r)
	}, blob(id))
	return k, ok, err
}

// read reads a row of templateColumns.
func (k *keptTemplate) read(r rows) error {
	t := &k.Template
	var policy, state []byte
	err := r.Scan(&t.ID, &k.revision, &t.OrganizationID, &t.Name, &t.ActiveVersionID, &t.Revision, &t.Rules, &policy, &state)
	if err == nil {
		t.Policy = lifecycle.ReadPolicy(policy)
		t.ReadState(state)
	}
	return err
}

const (
	templateColumns = `id, revision, organization_id, name, active_version_id, edition, rules, policy, state`

	selectTemplate = `SELECT ` + templateColumns + ` FROM {templates} WHERE id = ?`
	// listTemplates reads past those of other organizations: templates are few.
	listTemplates = `
SELECT ` + templateColumns + ` FROM {templates}
WHERE id > ?1 AND (?2 IS NULL OR organization_id IN (SELECT unhex(value) FROM json_each(?2))) ORDER BY id LIMIT ?3`
)

// Templates implements [lifecycle.Catalog].
func (s *Store) Templates(ctx context.Context, q lifecycle.TemplateQuery) (found []lifecycle.Template, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err = s.ready(ctx); err == nil {
		err = s.query(ctx, listTemplates, func(r rows) error {
			var k keptTemplate
			err := k.read(r)
			found = append(found, k.Template)
			return err
		}, blob(q.After), anyOf(q.Organizations), q.Limit)
	}
	return found, unavailable(err, "list templates")
}

const putTemplate = `
INSERT INTO {templates} (id, revision, sweep_at, organization_id, name, active_version_id, edition, rules, policy, state)
VALUES (?, abs(random() % 1000000000000), ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
	revision = {templates}.revision + 1, sweep_at = excluded.sweep_at, sweep_after = x'',
	organization_id = excluded.organization_id, name = excluded.name, active_version_id = excluded.active_version_id,
	edition = excluded.edition, rules = excluded.rules, policy = excluded.policy, state = excluded.state
WHERE {templates}.edition = excluded.edition - 1`

// PutTemplate implements [lifecycle.Registry].
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	old, _, err := s.Template(ctx, t.ID)
	if err != nil {
		return err
	}
	if t, err = lifecycle.ReplaceTemplate(old, t, now); err != nil {
		return fmt.Errorf("put %w", err)
	}
	var state []byte
	policy, err := json.Marshal(t.Policy)
	if err == nil {
		state, err = t.MarshalState()
	}
	if err != nil {
		return fmt.Errorf("put template %s: %w", t.ID, err)
	}
	err = s.write(ctx, func(tx *tx) error {
		n, err := tx.exec(putTemplate, blob(t.ID), micros(now), blob(t.OrganizationID), t.Name, blob(t.ActiveVersionID),
			t.Revision, t.Rules, string(policy), string(state))
		if err == nil && n == 0 {
			err = lifecycle.ErrStaleTemplate // somebody else was faster since it was read
		}
		if err != nil {
			return err
		}
		return s.record(tx)
	})
	if err == nil {
		s.sweepAfter(ctx)
	}
	return unavailable(err, "put template %s", t.ID)
}

// PutEngine implements [lifecycle.Holder].
func (s *Store) PutEngine(ctx context.Context, now time.Time, e lifecycle.Engine) error {
	err := s.write(ctx, func(tx *tx) error {
		old, err := tx.engine()
		if err != nil {
			return err
		}
		next, err := lifecycle.ReplaceEngine(old, e, now)
		if err != nil {
			return err
		}
		if err := tx.putEngine(next); err != nil {
			return err
		}
		if err := s.record(tx); err != nil {
			return err
		}
		return tx.wakeEverything(now)
	})
	if err == nil {
		s.sweepAfter(ctx)
	}
	return unavailable(err, "put engine")
}

// Engine implements [lifecycle.Holder].
func (s *Store) Engine(ctx context.Context) (lifecycle.Engine, error) {
	if err := s.ready(ctx); err != nil {
		return lifecycle.Engine{}, unavailable(err, "engine")
	}
	var state []byte
	_, err := s.queryRow(ctx, `SELECT state FROM {engine} WHERE one = 1`, nil, &state)
	return lifecycle.ReadEngine(state), unavailable(err, "engine")
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
