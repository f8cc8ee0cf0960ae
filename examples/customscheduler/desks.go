package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

//go:embed schema.sql
var schema string

// Desks is the host's own table as a store of the engine: the three methods of [lifecycle.Store] and nothing else, so
// there is no outbox, no registry and no history. What the host does with its tables besides stands in host.go.
type Desks struct {
	db    *sql.DB
	crons schedule.Interner
}

var _ lifecycle.Store = (*Desks)(nil)

// NewDesks creates the tables in an empty database. Its connections must begin their transactions with a write lock
// (_txlock=immediate), so that two commits wait for each other instead of failing.
func NewDesks(ctx context.Context, db *sql.DB) (*Desks, error) {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("create tables: %w", err)
	}
	return &Desks{db: db}, nil
}

const (
	fromDesks = ` FROM desks d JOIN people p ON p.id = d.person JOIN blueprints b ON b.id = d.blueprint `
	// whereDue walks the index on look_at from a place in it on, and reads nothing else of what is not due.
	whereDue = `WHERE d.look_at <= ? AND (d.look_at, d.id) > (?, ?) AND d.shard % ? = ? ORDER BY d.look_at, d.id LIMIT ?`
)

// Due implements [lifecycle.Store].
func (d *Desks) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	after := q.After.WakeAt.UnixMicro()
	if q.After == (lifecycle.Cursor{}) {
		after = -1 << 63
	}
	return d.query(ctx, whereDue, q.Now.UnixMicro(), after, q.After.ID,
		max(q.Shard.Count, 1), q.Shard.Index, max(q.Limit, 0))
}

// Load implements [lifecycle.Store].
func (d *Desks) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return d.query(ctx, `WHERE d.id IN (SELECT value FROM json_each(?))`, string(list))
}

func (d *Desks) query(ctx context.Context, where string, args ...any) ([]lifecycle.Snapshot, error) {
	var s lifecycle.Snapshot
	columns := append(fixed(&s.Workspace), d.living(&s.Workspace)...)
	columns = prefixed("d.", append(columns, running(&s.Build)...), d.around(&s))
	rows, err := d.db.QueryContext(ctx, "SELECT "+namesOf(columns, "%s", ", ")+fromDesks+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read desks: %w", err)
	}
	defer rows.Close()
	var found []lifecycle.Snapshot
	into := valuesOf(columns)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read desks: %w", err)
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// Commit implements [lifecycle.Store].
func (d *Desks) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if err := lifecycle.ValidateBatch(changes); err != nil {
		return nil, err
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	outcomes := make([]lifecycle.Outcome, len(changes))
	for i := range changes {
		if outcomes[i], err = d.apply(ctx, tx, &changes[i]); err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: err}
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return outcomes, nil
}

func (d *Desks) apply(ctx context.Context, tx *sql.Tx, c *lifecycle.Change) (lifecycle.Outcome, error) {
	if c.Claims {
		return 0, errors.ErrUnsupported // a desk stays its owner's
	}
	var latest lifecycle.Build
	err := tx.QueryRowContext(ctx, `SELECT run_no, run_state FROM desks WHERE id = ? AND edition = ?`, c.Workspace.ID, c.Revision).
		Scan(&latest.Number, number[lifecycle.JobStatus]{&latest.Status})
	if errors.Is(err, sql.ErrNoRows) {
		return lifecycle.Conflict, nil
	}
	if err == nil {
		err = c.Validate(latest)
	}
	if err != nil {
		return 0, err
	}
	columns := d.living(&c.Workspace)
	if c.Build.Number > 0 {
		columns = append(columns, running(&c.Build)...)
	}
	_, err = tx.ExecContext(ctx, `UPDATE desks SET edition = edition + 1, `+namesOf(columns, "%s = ?", ", ")+` WHERE id = ?`,
		append(valuesOf(columns), c.Workspace.ID)...)
	if err == nil && c.NewBuild && c.Job != nil {
		err = enqueue(ctx, tx, c.Job)
	}
	return lifecycle.Applied, err
}

// enqueue writes the job into the host's own queue, in the transaction of its build. The worker of this example takes a
// minute and a half for everything.
func enqueue(ctx context.Context, tx *sql.Tx, j *lifecycle.Job) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO tasks (run, desk, run_no, what, why, ready) VALUES (?, ?, ?, ?, ?, ?)`,
		j.ID, j.WorkspaceID, j.BuildNumber, j.Transition.String(), string(j.Reason), j.CreatedAt.Add(90*time.Second).UnixMicro())
	return err
}

// shard is what the desks are divided among replicas by, see [lifecycle.Shard].
func shard(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint32(id[12:])) }
