package records

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
)

// Event is something that happened, as it is told to people and their programs.
type Event struct {
	Seq       int64
	Key       string
	Owner     uuid.UUID
	Workspace uuid.UUID
	Kind      string
	At        time.Time
	Body      []byte // JSON
}

// AddEvent keeps an event once, however often it is delivered. Numbers are given in the order of the commits, so that whoever has
// read up to one has missed none.
func (d *DB) AddEvent(ctx context.Context, e Event) (err error) {
	for range 20 {
		_, err = d.exec(ctx, `INSERT INTO plane_events (seq, name, owner, workspace, kind, at, body)
			SELECT coalesce(max(seq), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS TEXT) FROM plane_events
			WHERE true ON CONFLICT (name) DO NOTHING`,
			e.Key, e.Owner.String(), e.Workspace.String(), e.Kind, e.At.UnixMicro(), string(e.Body))
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err // somebody else has taken the number every time
}

const eventColumns = `SELECT seq, name, owner, workspace, kind, at, body FROM plane_events `

// EventsAfter returns up to limit events after a number, of one owner or of all (uuid.Nil).
func (d *DB) EventsAfter(ctx context.Context, seq int64, owner uuid.UUID, limit int) ([]Event, error) {
	if owner == uuid.Nil {
		return d.events(ctx, eventColumns+`WHERE seq > $1 ORDER BY seq LIMIT $2`, seq, limit)
	}
	return d.events(ctx, eventColumns+`WHERE seq > $1 AND owner = $3 ORDER BY seq LIMIT $2`, seq, limit, owner.String())
}

// PruneEvents forgets what happened before an instant.
func (d *DB) PruneEvents(ctx context.Context, before time.Time) error {
	_, err := d.exec(ctx, `DELETE FROM plane_events WHERE at < $1 AND seq < (SELECT max(seq) FROM plane_events)`, before.UnixMicro())
	return err
}

// LastEvent is the number of the latest event.
func (d *DB) LastEvent(ctx context.Context) (seq int64, err error) {
	_, err = d.row(ctx, `SELECT coalesce(max(seq), 0) FROM plane_events`, nil, &seq)
	return seq, err
}

func (d *DB) events(ctx context.Context, statement string, args ...any) (list []Event, err error) {
	err = d.rows(ctx, statement, args, func(rows *sql.Rows) error {
		var e Event
		var owner, workspace string
		var at int64
		if err := rows.Scan(&e.Seq, &e.Key, &owner, &workspace, &e.Kind, &at, &e.Body); err != nil {
			return err
		}
		e.At = time.UnixMicro(at).UTC()
		e.Owner, _ = uuid.Parse(owner)
		e.Workspace, _ = uuid.Parse(workspace)
		list = append(list, e)
		return nil
	})
	return list, err
}
