package records

import (
	"context"
	"time"
)

// TakeRoom notes that somebody is making a workspace, and returns how many they are making now, this one among them. What has not been
// left for as long as life is forgotten: its process is gone.
//
// Whoever counts what somebody has does so after this. Then two who do so at once see each other, or the workspace that one has made.
func (d *DB) TakeRoom(ctx context.Context, owner, id string, now time.Time, life time.Duration) (n int, err error) {
	if _, err := d.exec(ctx, `DELETE FROM plane_rooms WHERE since < $1`, now.Add(-life).UnixMicro()); err != nil {
		return 0, err
	}
	if _, err := d.exec(ctx, `INSERT INTO plane_rooms (id, owner, since) VALUES ($1, $2, $3)`, id, owner, now.UnixMicro()); err != nil {
		return 0, err
	}
	_, err = d.row(ctx, `SELECT count(*) FROM plane_rooms WHERE owner = $1`, []any{owner}, &n)
	return n, err
}

// LeaveRoom notes that the workspace is made, or will not be.
func (d *DB) LeaveRoom(ctx context.Context, id string) error {
	_, err := d.exec(ctx, `DELETE FROM plane_rooms WHERE id = $1`, id)
	return err
}
