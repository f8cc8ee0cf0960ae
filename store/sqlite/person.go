package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

var _ store.Forgetter = (*Store)(nil)

// Forget implements [store.Forgetter].
func (s *Store) Forget(ctx context.Context, p store.Person) error {
	if err := p.Validate(); err != nil {
		return err
	}
	err := s.write(ctx, func(t *tx) error {
		if err := t.forgettable(&p); err != nil {
			return err
		}
		for _, forget := range []func(*store.Person) error{
			t.leaveEvents, t.leaveAttempts, t.leaveTemplates, t.leaveEngine, t.forgetRows,
		} {
			if err := forget(&p); err != nil {
				return err
			}
		}
		return nil
	})
	if referred(err) {
		err = fmt.Errorf("a row of the host refers to theirs: %w: %w", lifecycle.ErrInUse, err)
	}
	if errors.Is(err, lifecycle.ErrInUse) {
		return fmt.Errorf("forget %s: %w", p.ID, err)
	}
	return unavailable(err, "forget %s", p.ID)
}

// forgetArgs are the parameters of the statements about a person: the id, the organization or NULL, the names, the pseudonym.
func forgetArgs(p *store.Person) []any {
	names, _ := json.Marshal(p.Names) // texts can be written
	if p.Names == nil {
		names = []byte(`[]`)
	}
	return []any{blob(p.ID), optional(p.Organization), string(names), p.Pseudonym.String(), blob(uuid.Nil)}
}

// personParams has each statement use all parameters, whichever it needs.
const personParams = `WITH p (id, organization, names, pseudonym, nobody) AS (VALUES (?1, ?2, ?3, ?4, ?5)) `

const (
	personOwns = `FROM {workspaces} w, p WHERE w.owner_id = p.id AND (p.organization IS NULL OR w.organization_id = p.organization)`
	personRuns = `FROM {jobs} j, p WHERE j.tenant_id = p.id AND p.id <> p.nobody AND (p.organization IS NULL OR j.organization_id = p.organization)`
)

// forgettable is the error that says what a person has.
func (t *tx) forgettable(p *store.Person) error {
	for what, text := range map[string]string{
		"a workspace is not deleted": `SELECT 1 ` + personOwns + ` AND w.deleted = 0 LIMIT 1`,
		"a job is not over":          fmt.Sprintf(`SELECT 1 `+personRuns+` AND j.state < %d LIMIT 1`, stateSucceeded),
		"a pool member is not gone": fmt.Sprintf(`SELECT 1 FROM {members} m, p
			WHERE m.owner IN (SELECT value FROM json_each(p.names)) AND m.state <> %d LIMIT 1`, prewarm.Gone),
	} {
		switch found, err := t.queryRow(personParams+text, forgetArgs(p), new(int)); {
		case err != nil:
			return err
		case found:
			return fmt.Errorf("%s: %w", what, lifecycle.ErrInUse)
		}
	}
	return nil
}

// forgetSQL is what one statement each can do: first what was theirs, then what others have.
var forgetSQL = []string{
	`DELETE FROM {lines} WHERE job_id IN (SELECT j.id ` + personRuns + `)`,
	`DELETE FROM {jobs} WHERE id IN (SELECT j.id ` + personRuns + `)`,
	`DELETE FROM {turns} WHERE (organization_id, priority, tenant_id) IN (SELECT j.organization_id, j.priority, j.tenant_id FROM {turns} j, p
		WHERE j.tenant_id = p.id AND (p.organization IS NULL OR j.organization_id = p.organization))`,
	`DELETE FROM {builds} WHERE workspace_id IN (SELECT w.id ` + personOwns + `)`,
	`DELETE FROM {workspaces} WHERE id IN (SELECT w.id ` + personOwns + `)`,
	`DELETE FROM {owners} WHERE id IN (SELECT id FROM p) AND NOT EXISTS (SELECT 1 FROM {workspaces} w, p WHERE w.owner_id = p.id)`,
	`UPDATE {workspaces} SET hold_by = p.pseudonym, hold_note = '', revision = revision + 1 FROM p
		WHERE hold_by IN (SELECT value FROM json_each(p.names)) AND (p.organization IS NULL OR organization_id = p.organization)`,
	`UPDATE {workspaces} SET build_initiator = p.pseudonym, revision = revision + 1 FROM p
		WHERE build_initiator IN (SELECT value FROM json_each(p.names)) AND (p.organization IS NULL OR organization_id = p.organization)`,
	`UPDATE {builds} SET initiator = p.pseudonym FROM p WHERE initiator IN (SELECT value FROM json_each(p.names))
		AND (p.organization IS NULL OR p.organization = (SELECT w.organization_id FROM {workspaces} w WHERE w.id = workspace_id))`,
	`UPDATE {pauses} SET paused_by = p.pseudonym, note = '' FROM p
		WHERE paused_by IN (SELECT value FROM json_each(p.names)) AND (p.organization IS NULL OR organization_id = p.organization)`,
	`UPDATE {pools} SET paused_by = p.pseudonym, revision = revision + 1 FROM p WHERE paused_by IN (SELECT value FROM json_each(p.names))`,
	`UPDATE {members} SET owner = p.pseudonym, claim_details = NULL, message = '', revision = revision + 1 FROM p
		WHERE owner IN (SELECT value FROM json_each(p.names))`,
}

func (t *tx) forgetRows(p *store.Person) error {
	for _, text := range forgetSQL {
		if _, err := t.exec(personParams+text, forgetArgs(p)...); err != nil {
			return err
		}
	}
	return nil
}

// leaveEvents takes a person out of the events that wait, while it is known whose workspaces they are of.
func (t *tx) leaveEvents(p *store.Person) error {
	changed, err := t.texts(personParams+`SELECT e.seq, CAST(e.body AS TEXT) FROM {events} e, p
		WHERE p.organization IS NULL
			OR coalesce((SELECT w.organization_id FROM {workspaces} w WHERE w.id = e.workspace_id), p.organization) = p.organization`,
		p, func(text string) (string, bool, error) {
			next, found, err := p.RewriteEvent([]byte(text))
			return string(next), found, err
		})
	for seq, body := range changed {
		if err == nil && body == "" {
			err = t.execOne(`DELETE FROM {events} WHERE seq = ?`, seq)
		} else if err == nil {
			// What is about an owner stands in the owner's line.
			err = t.execOne(`UPDATE {events} SET body = ?, workspace_id = CASE workspace_id WHEN ? THEN ? ELSE workspace_id END WHERE seq = ?`,
				[]byte(body), blob(p.ID), blob(p.Pseudonym), seq)
		}
	}
	return err
}

// leaveAttempts takes a person out of the histories of others' jobs.
func (t *tx) leaveAttempts(p *store.Person) error {
	changed, err := t.texts(personParams+`SELECT j.rowid, CAST(j.history AS TEXT) FROM {jobs} j, p
		WHERE j.history IS NOT NULL AND (p.organization IS NULL OR j.organization_id = p.organization)`,
		p, func(text string) (string, bool, error) {
			next, found, err := p.RewriteAttempts([]byte(text))
			return string(next), found, err
		})
	for row, text := range changed {
		if err == nil {
			err = t.execOne(`UPDATE {jobs} SET history = ? WHERE rowid = ?`, []byte(text), row)
		}
	}
	return err
}

// leaveTemplates takes a person out of the holds of templates. A write of one that was read before is stale.
func (t *tx) leaveTemplates(p *store.Person) error {
	changed, err := t.texts(personParams+`SELECT t.rowid, t.state FROM {templates} t, p
		WHERE p.organization IS NULL OR t.organization_id = p.organization`,
		p, func(text string) (string, bool, error) {
			var kept lifecycle.Template
			kept.ReadState([]byte(text))
			if !p.LeaveHold(&kept.Hold) {
				return "", false, nil
			}
			state, err := kept.MarshalState()
			return string(state), true, err
		})
	for row, text := range changed {
		if err == nil {
			err = t.execOne(`UPDATE {templates} SET state = ?, revision = revision + 1, edition = edition + 1 WHERE rowid = ?`, text, row)
		}
	}
	return err
}

func (t *tx) leaveEngine(p *store.Person) error {
	e, err := t.engine()
	if err == nil && p.LeaveHold(&e.Hold) {
		err = t.putEngine(e)
	}
	return err
}

// texts reads numbered texts about a person and returns those that change, with what they become.
func (t *tx) texts(statement string, p *store.Person, change func(string) (string, bool, error)) (map[int64]string, error) {
	changed := map[int64]string{}
	err := t.query(statement, func(r rows) error {
		var number int64
		var text string
		if err := r.Scan(&number, &text); err != nil {
			return err
		}
		next, found, err := change(text)
		if found {
			changed[number] = next
		}
		return err
	}, forgetArgs(p)...)
	return changed, err
}
