package records

import (
	"bytes"
	"context"
	"time"
)

// Answer is what was answered to a request, with status 0 if it has not been yet.
type Answer struct {
	Status int
	Body   []byte
	// Same says that the request is the one that is kept under its key.
	Same bool
	// BegunAt is when it was begun, and BegunBy by which process.
	BegunAt time.Time
	BegunBy string
}

// BeginRequest notes that somebody begins a request under a key of theirs. First is false if they did so before; then the answer is
// that one's.
func (d *DB) BeginRequest(ctx context.Context, identity, key string, digest []byte, now time.Time, by string) (first bool, a Answer, err error) {
	n, err := d.exec(ctx, `INSERT INTO plane_requests (identity, name, digest, begun_at, begun_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (identity, name) DO NOTHING`,
		identity, key, digest, now.UnixMicro(), by)
	if err != nil || n == 1 {
		return n == 1, Answer{Same: true, BegunAt: now, BegunBy: by}, err
	}
	var kept []byte
	var at int64
	_, err = d.row(ctx, `SELECT digest, status, body, begun_at, begun_by FROM plane_requests WHERE identity = $1 AND name = $2`, []any{identity, key},
		&kept, &a.Status, &a.Body, &at, &a.BegunBy)
	a.Same, a.BegunAt = bytes.Equal(kept, digest), time.UnixMicro(at)
	return false, a, err
}

// Requests is how many requests of somebody are kept.
func (d *DB) Requests(ctx context.Context, identity string) (n int, err error) {
	_, err = d.row(ctx, `SELECT count(*) FROM plane_requests WHERE identity = $1`, []any{identity}, &n)
	return n, err
}

// TakeRequest takes a request over that a process began which is gone. One of several succeeds.
func (d *DB) TakeRequest(ctx context.Context, identity, key string, before Answer, now time.Time, by string) (bool, error) {
	n, err := d.exec(ctx, `UPDATE plane_requests SET begun_at = $5, begun_by = $6 WHERE identity = $1 AND name = $2 AND begun_at = $3 AND begun_by = $4 AND status = 0`,
		identity, key, before.BegunAt.UnixMicro(), before.BegunBy, now.UnixMicro(), by)
	return n == 1, err
}

// EndRequest keeps the answer to a request.
func (d *DB) EndRequest(ctx context.Context, identity, key string, status int, body []byte) error {
	_, err := d.exec(ctx, `UPDATE plane_requests SET status = $3, body = $4 WHERE identity = $1 AND name = $2`, identity, key, status, body)
	return err
}

// ForgetRequest lets a key be used again, after a request that did nothing.
func (d *DB) ForgetRequest(ctx context.Context, identity, key string) error {
	_, err := d.exec(ctx, `DELETE FROM plane_requests WHERE identity = $1 AND name = $2`, identity, key)
	return err
}

// PruneRequests forgets what was asked before an instant.
func (d *DB) PruneRequests(ctx context.Context, before time.Time) error {
	_, err := d.exec(ctx, `DELETE FROM plane_requests WHERE begun_at < $1`, before.UnixMicro())
	return err
}
