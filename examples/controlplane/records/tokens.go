package records

import (
	"context"
	"database/sql"
	"time"
)

// Token is what is kept of one: its public part, and the hash of its secret.
type Token struct {
	ID        string
	Hash      []byte
	Kind      string
	Name      string
	Detail    string // JSON, of a worker
	CreatedAt time.Time
}

// PutToken keeps a token.
func (d *DB) PutToken(ctx context.Context, t Token) error {
	_, err := d.exec(ctx, `INSERT INTO plane_tokens (id, hash, kind, name, detail, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, t.Hash, t.Kind, t.Name, t.Detail, t.CreatedAt.UnixMicro())
	return err
}

// SetTokenHash gives a token that nobody has seen another secret.
func (d *DB) SetTokenHash(ctx context.Context, id string, hash []byte) error {
	_, err := d.exec(ctx, `UPDATE plane_tokens SET hash = $2 WHERE id = $1 AND ended_at = 0`, id, hash)
	return err
}

// SetTokenDetail replaces the detail of a token, if it is as expected.
func (d *DB) SetTokenDetail(ctx context.Context, id, before, after string) (bool, error) {
	n, err := d.exec(ctx, `UPDATE plane_tokens SET detail = $3 WHERE id = $1 AND detail = $2 AND ended_at = 0`, id, before, after)
	return n == 1, err
}

const tokenColumns = `SELECT id, hash, kind, name, detail, created_at FROM plane_tokens WHERE ended_at = 0 `

// Token returns the token with a public part, if it is valid.
func (d *DB) Token(ctx context.Context, id string) (t Token, ok bool, err error) {
	var at int64
	ok, err = d.row(ctx, tokenColumns+`AND id = $1`, []any{id}, &t.ID, &t.Hash, &t.Kind, &t.Name, &t.Detail, &at)
	t.CreatedAt = time.UnixMicro(at).UTC()
	return t, ok, err
}

// Tokens lists the valid tokens of a kind, the oldest first.
func (d *DB) Tokens(ctx context.Context, kind string) (list []Token, err error) {
	err = d.rows(ctx, tokenColumns+`AND kind = $1 ORDER BY created_at, id`, []any{kind}, func(rows *sql.Rows) error {
		var t Token
		var at int64
		err := rows.Scan(&t.ID, &t.Hash, &t.Kind, &t.Name, &t.Detail, &at)
		t.CreatedAt = time.UnixMicro(at).UTC()
		list = append(list, t)
		return err
	})
	return list, err
}

// EndToken makes a token invalid and says whether it was valid before.
func (d *DB) EndToken(ctx context.Context, id string, now time.Time) (bool, error) {
	n, err := d.exec(ctx, `UPDATE plane_tokens SET ended_at = $2 WHERE id = $1 AND ended_at = 0`, id, now.UnixMicro())
	return n == 1, err
}
