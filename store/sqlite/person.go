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
	names, _ := json.Marshal(p.Names) // texts can be written; none is null, whose only element is no name
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

// forgotten are rows of which one statement takes the person out: it sets something, or deletes them.
type forgotten struct{ table, set, where string }

func (r forgotten) change() string {
	if r.set == "" {
		return `DELETE FROM {` + r.table + `} WHERE ` + r.where
	}
	return `UPDATE {` + r.table + `} SET ` + r.set + ` FROM p WHERE ` + r.where
}

// left finds one that is still as it was.
func (r forgotten) left() string {
	return `SELECT 1 FROM {` + r.table + `}, p WHERE ` + r.where + ` LIMIT 1`
}

const namedThem = ` IN (SELECT value FROM json_each(p.names))`

// forgottenRows are first what was theirs, then what others have.
var forgottenRows = []forgotten{
	{"lines", "", `job_id IN (SELECT j.id ` + personRuns + `)`},
	{"jobs", "", `{jobs}.id IN (SELECT j.id ` + personRuns + `)`},
	{"turns", "", `({turns}.organization_id, priority, tenant_id) IN (SELECT j.organization_id, j.priority, j.tenant_id FROM {turns} j, p
		WHERE j.tenant_id = p.id AND (p.organization IS NULL OR j.organization_id = p.organization))`},
	{"builds", "", `workspace_id IN (SELECT w.id ` + personOwns + `)`},
	{"workspaces", "", `{workspaces}.id IN (SELECT w.id ` + personOwns + `)`},
	{"owners", "", `{owners}.id IN (SELECT id FROM p) AND NOT EXISTS (SELECT 1 FROM {workspaces} w, p WHERE w.owner_id = p.id)`},
	{"workspaces", `hold_by = p.pseudonym, hold_note = '', revision = revision + 1`, `hold_by` + namedThem + `
		AND (p.organization IS NULL OR organization_id = p.organization)`},
	{"workspaces", `build_initiator = p.pseudonym, revision = revision + 1`, `build_initiator` + namedThem + `
		AND (p.organization IS NULL OR organization_id = p.organization)`},
	{"builds", `initiator = p.pseudonym`, `initiator` + namedThem + `
		AND (p.organization IS NULL OR p.organization = (SELECT w.organization_id FROM {workspaces} w WHERE w.id = workspace_id))`},
	{"pauses", `paused_by = p.pseudonym, note = ''`, `paused_by` + namedThem + ` AND (p.organization IS NULL OR organization_id = p.organization)`},
	{"pools", `paused_by = p.pseudonym, revision = revision + 1`, `paused_by` + namedThem},
	{"members", `owner = p.pseudonym, claim_details = NULL, message = '', revision = revision + 1`, `owner` + namedThem},
}

// forgetRows takes the person out of the rows, and looks whether they are: a trigger may leave some as they were without a word.
func (t *tx) forgetRows(p *store.Person) error {
	for _, r := range forgottenRows {
		if _, err := t.exec(personParams+r.change(), forgetArgs(p)...); err != nil {
			return err
		}
		left, err := t.queryRow(personParams+r.left(), forgetArgs(p), new(int))
		if err == nil && left {
			err = fmt.Errorf("some %s: %w", r.table, errNotWritten)
		}
		if err != nil {
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
			if !p.LeaveTemplate(&kept) {
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
	if err == nil && p.LeaveEngine(&e) {
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
