package records

import (
	"context"
	"database/sql"
	"time"
)

// NoteRunning keeps how many workspaces run at an instant, if it is the most of its hour.
func (d *DB) NoteRunning(ctx context.Context, at time.Time, running int) error {
	_, err := d.exec(ctx, `INSERT INTO plane_hours (hour, most) VALUES ($1, $2) ON CONFLICT (hour) DO UPDATE
		SET most = CASE WHEN excluded.most > plane_hours.most THEN excluded.most ELSE plane_hours.most END`, hourOf(at), running)
	return err
}

// Ran returns the most that ran in each hour from an hour on, up to the last that is known; in between, what was not noted is 0.
func (d *DB) Ran(ctx context.Context, from time.Time, hours int) (most []int, err error) {
	first := hourOf(from)
	err = d.rows(ctx, `SELECT hour, most FROM plane_hours WHERE hour >= $1 AND hour < $2 ORDER BY hour`, []any{first, first + int64(hours)}, func(rows *sql.Rows) error {
		var hour, n int64
		if err := rows.Scan(&hour, &n); err != nil {
			return err
		}
		for int64(len(most)) < hour-first {
			most = append(most, 0)
		}
		most = append(most, int(n))
		return nil
	})
	return most, err
}

// PruneHours forgets the hours before an instant.
func (d *DB) PruneHours(ctx context.Context, before time.Time) error {
	_, err := d.exec(ctx, `DELETE FROM plane_hours WHERE hour < $1`, hourOf(before))
	return err
}

func hourOf(at time.Time) int64 { return at.Unix() / 3600 }
