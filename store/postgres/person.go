package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

var _ store.Forgetter = (*Store)(nil)

// Forget implements [store.Forgetter]. It waits for transactions that hold rows of the person.
func (s *Store) Forget(ctx context.Context, p store.Person) error {
	if err := p.Validate(); err != nil {
		return err
	}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error { return forgetting{s, tx, &p}.all(ctx) })
	})
	if referred(err) {
		err = fmt.Errorf("a row of the host refers to theirs: %w: %w", lifecycle.ErrInUse, err)
	}
	return wrap(err, "forget %s", p.ID)
}

// forgetting is one attempt to forget a person.
type forgetting struct {
	s  *Store
	tx pgx.Tx
	*store.Person
}

// personSQL has each statement use all parameters, whichever it needs: the id, the organization, the names, the pseudonym.
const personSQL = `
	WITH p (id, organization, names, pseudonym) AS (
		SELECT $1::uuid, nullif($2::uuid, '00000000-0000-0000-0000-000000000000'), $3::text[], $4::text)`

const (
	personOwns = `dormouse.workspaces w, p WHERE w.id IN (SELECT k.id FROM dormouse.workspace_keys k WHERE k.owner_id = p.id)
		AND (p.organization IS NULL OR w.organization_id = p.organization)`
	personRuns = `dormouse.jobs j, p WHERE j.tenant_id = p.id AND p.id <> '00000000-0000-0000-0000-000000000000'
		AND (p.organization IS NULL OR j.organization_id = p.organization)`
)

func (f forgetting) args() []any {
	names := f.Names
	if names == nil {
		names = []string{}
	}
	return []any{key(f.ID), key(f.Organization), names, f.Pseudonym.String()}
}

func (f forgetting) all(ctx context.Context) error {
	// Whoever makes a workspace for the owner waits, and finds nobody.
	if _, err := f.tx.Exec(ctx, f.s.sql(`SELECT FROM dormouse.owners WHERE id = $1 FOR UPDATE`), key(f.ID)); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		f.forgettable, f.leaveEvents, f.leaveAttempts, f.leaveTemplates, f.leaveEngine, f.rows,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// forgettable is the error that says what the person has.
func (f forgetting) forgettable(ctx context.Context) error {
	for what, text := range map[string]string{
		"a workspace is not deleted": `SELECT EXISTS (SELECT FROM ` + personOwns + ` AND NOT w.deleted)`,
		"a job is not over":          `SELECT EXISTS (SELECT FROM ` + personRuns + ` AND j.state < 2)`,
		"a pool member is not gone": fmt.Sprintf(
			`SELECT EXISTS (SELECT FROM dormouse.members m, p WHERE m.owner = ANY (p.names) AND m.state <> %d)`, prewarm.Gone),
	} {
		var found bool
		if err := f.tx.QueryRow(ctx, f.s.sql(personSQL+text), f.args()...).Scan(&found); err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%s: %w", what, lifecycle.ErrInUse)
		}
	}
	return nil
}

// forgotten are rows of which one statement takes the person out: it sets something, or deletes them.
type forgotten struct{ table, set, from string }

func (r forgotten) changeSQL() string {
	table, from, _ := strings.Cut(r.from, ", ")
	if r.set == "" {
		return `DELETE FROM ` + table + ` USING ` + from
	}
	return `UPDATE ` + table + ` SET ` + r.set + ` FROM ` + from
}

// leftSQL asks whether some are still as they were.
func (r forgotten) leftSQL() string { return `SELECT EXISTS (SELECT FROM ` + r.from + `)` }

// forgottenRows are first what was theirs, with builds and logs, then what others have.
var forgottenRows = []forgotten{
	{"jobs", "", personRuns},
	{"turns", "", `dormouse.turns t, p WHERE t.tenant_id = p.id AND (p.organization IS NULL OR t.organization_id = p.organization)`},
	{"workspaces", "", personOwns},
	{"workspaces", `hold_by = p.pseudonym, hold_note = NULL, revision = w.revision + 1`, `dormouse.workspaces w, p
		WHERE w.hold_by = ANY (p.names) AND (p.organization IS NULL OR w.organization_id = p.organization)`},
	{"workspaces", `build_initiator = p.pseudonym, revision = w.revision + 1`, `dormouse.workspaces w, p
		WHERE w.build_initiator = ANY (p.names) AND (p.organization IS NULL OR w.organization_id = p.organization)`},
	{"builds", `initiator = p.pseudonym`, `dormouse.builds b, p, dormouse.workspaces w
		WHERE b.initiator = ANY (p.names) AND w.id = b.workspace_id AND (p.organization IS NULL OR w.organization_id = p.organization)`},
	{"pauses", `paused_by = p.pseudonym, note = ''`, `dormouse.pauses a, p
		WHERE a.paused_by = ANY (p.names) AND (p.organization IS NULL OR a.organization_id = p.organization)`},
	{"pools", `paused_by = p.pseudonym, revision = o.revision + 1`, `dormouse.pools o, p WHERE o.paused_by = ANY (p.names)`},
	{"members", `owner = p.pseudonym, claim_details = NULL, message = '', revision = m.revision + 1`, `dormouse.members m, p
		WHERE m.owner = ANY (p.names)`},
	{"marks", "", `dormouse.marks m, p
		WHERE m.subject = p.id AND m.owner AND NOT EXISTS (SELECT FROM dormouse.workspace_keys k WHERE k.owner_id = p.id)`},
	{"owners", "", `dormouse.owners o, p WHERE o.id = p.id AND NOT EXISTS (SELECT FROM dormouse.workspace_keys k WHERE k.owner_id = p.id)`},
}

// rows takes the person out of the rows, and looks whether they are: a trigger may leave some as they were without a word, and another
// transaction may have written some that name them in between.
func (f forgetting) rows(ctx context.Context) error {
	var b pgx.Batch
	for _, r := range forgottenRows {
		b.Queue(f.s.sql(personSQL+r.changeSQL()), f.args()...)
		b.Queue(f.s.sql(personSQL+r.leftSQL()), f.args()...)
	}
	return send(ctx, f.tx, &b, func(results pgx.BatchResults) error {
		for _, r := range forgottenRows {
			var left bool
			skip(results, 1)
			if err := results.QueryRow().Scan(&left); err != nil {
				return err
			}
			if left {
				return fmt.Errorf("some %s name them still: a trigger keeps them from being written, or somebody has just written them", r.table)
			}
		}
		return nil
	})
}

// leaveEvents takes the person out of the events that wait, while it is known whose workspaces they are of.
func (f forgetting) leaveEvents(ctx context.Context) error {
	return rewrite(ctx, f, `SELECT e.seq, e.body FROM dormouse.events e, p
		WHERE (e.body->>'owner_id' = p.id::text OR e.body->>'actor' = ANY (p.names)) AND (p.organization IS NULL
			OR coalesce((SELECT w.organization_id FROM dormouse.workspaces w WHERE w.id = e.workspace_id), p.organization) = p.organization)
		FOR UPDATE OF e`,
		func(body []byte) (any, bool, error) {
			next, found, err := f.RewriteEvent(body)
			if next == nil {
				return nil, found, err
			}
			return string(next), true, err
		},
		func(seq int64, next any) (string, []any) {
			if next == nil {
				return `DELETE FROM dormouse.events WHERE seq = $1`, []any{seq}
			}
			// What is about an owner stands in the owner's line.
			return `UPDATE dormouse.events SET body = $2::text::json, workspace_id = CASE workspace_id WHEN $3 THEN $4 ELSE workspace_id END
				WHERE seq = $1`, []any{seq, next, key(f.ID), key(f.Pseudonym)}
		})
}

// leaveAttempts takes the person out of the histories of others' jobs.
func (f forgetting) leaveAttempts(ctx context.Context) error {
	return rewrite(ctx, f, `SELECT j.id, j.history FROM dormouse.jobs j, p
		WHERE j.history IS NOT NULL AND (p.organization IS NULL OR j.organization_id = p.organization)
		AND EXISTS (SELECT FROM jsonb_array_elements(j.history) a WHERE a->>'By' = ANY (p.names))
		FOR UPDATE OF j`,
		func(text []byte) (any, bool, error) {
			next, found, err := f.RewriteAttempts(text)
			return string(next), found, err
		},
		func(id uuid.UUID, next any) (string, []any) {
			return `UPDATE dormouse.jobs SET history = $2::text::jsonb WHERE id = $1`, []any{key(id), next}
		})
}

// leaveTemplates takes the person out of the holds of templates. A write of one that was read before is stale.
func (f forgetting) leaveTemplates(ctx context.Context) error {
	return rewrite(ctx, f, `SELECT t.id, t.state FROM dormouse.templates t, p
		WHERE p.organization IS NULL OR t.organization_id = p.organization FOR UPDATE OF t`,
		func(state []byte) (any, bool, error) {
			var t lifecycle.Template
			t.ReadState(state)
			if !f.LeaveTemplate(&t) {
				return nil, false, nil
			}
			next, err := t.MarshalState()
			return string(next), true, err
		},
		func(id uuid.UUID, next any) (string, []any) {
			return `UPDATE dormouse.templates SET state = $2::text::json, revision = revision + 1 WHERE id = $1`, []any{key(id), next}
		})
}

func (f forgetting) leaveEngine(ctx context.Context) error {
	e, err := f.s.lockEngine(ctx, f.tx)
	if err == nil && f.LeaveEngine(&e) {
		err = f.s.writeEngine(ctx, f.tx, e)
	}
	return err
}

// rewrite reads JSON by its row's key and writes what it becomes.
func rewrite[K any](
	ctx context.Context, f forgetting, read string, change func([]byte) (next any, found bool, err error), write func(K, any) (string, []any),
) error {
	rows, _ := f.tx.Query(ctx, f.s.sql(personSQL+read), f.args()...)
	var b pgx.Batch
	var at K
	var text []byte
	if _, err := pgx.ForEachRow(rows, []any{scanned(&at), (*rawJSON)(&text)}, func() error {
		next, found, err := change(text)
		if found {
			statement, args := write(at, next)
			b.Queue(f.s.sql(statement), args...)
		}
		return err
	}); err != nil || b.Len() == 0 {
		return err
	}
	return send(ctx, f.tx, &b, func(results pgx.BatchResults) error {
		for range b.Len() {
			if tag, err := results.Exec(); err == nil && tag.RowsAffected() == 0 {
				return leftOut("what names them")
			}
		}
		return nil
	})
}

// scanned is where a key is read into.
func scanned(to any) any {
	if id, ok := to.(*uuid.UUID); ok {
		return toID(id)
	}
	return to
}
