package sqlite

import (
	"context"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/form"
)

type member = prewarm.Member

// memberColumns are what is written of a member.
var memberColumns = columns[member]{
	{"id", func(m *member) any { return blob(m.ID) }},
	{"pool", func(m *member) any { return m.Pool }},
	{"version", func(m *member) any { return m.Version }},
	{"revision", func(m *member) any { return m.Revision + 1 }},
	{"state", func(m *member) any { return int64(m.State) }},
	{"resource", func(m *member) any { return blob(m.Resource) }},
	{"generation", func(m *member) any { return m.Generation }},
	{"uses", func(m *member) any { return int64(m.Uses) }},
	{"reserved_for", func(m *member) any { return m.For }},
	{"created_at", func(m *member) any { return micros(m.CreatedAt) }},
	{"ready_at", func(m *member) any { return micros(m.ReadyAt) }},
	{"deadline", func(m *member) any { return micros(m.Deadline) }},
	{"attempts", func(m *member) any { return int64(m.Attempts) }},
	{"misses", func(m *member) any { return int64(m.Misses) }},
	{"reason", func(m *member) any { return string(m.Reason) }},
	{"message", func(m *member) any { return form.Text(m.Message) }},
	{"claim_key", func(m *member) any {
		if m.Claim.Key == "" {
			return nil
		}
		return m.Claim.Key
	}},
	{"owner", func(m *member) any { return m.Claim.Owner }},
	{"tenant", func(m *member) any { return m.Claim.Tenant }},
	{"claim_details", func(m *member) any { return m.Claim.Details }},
	{"claimed_at", func(m *member) any { return micros(m.Claim.At) }},
	{"idle_timeout", func(m *member) any { return int64(m.Claim.IdleTimeout) }},
	{"ends_at", func(m *member) any { return micros(m.Claim.Until) }},
}

// memberFields are what is read of one.
var memberFields = fields[member]{
	{"id", func(m *member) any { return &m.ID }},
	{"pool", func(m *member) any { return &m.Pool }},
	{"version", func(m *member) any { return &m.Version }},
	{"revision", func(m *member) any { return &m.Revision }},
	{"state", func(m *member) any { return &m.State }},
	{"resource", func(m *member) any { return &m.Resource }},
	{"generation", func(m *member) any { return &m.Generation }},
	{"uses", func(m *member) any { return &m.Uses }},
	{"reserved_for", func(m *member) any { return &m.For }},
	{"created_at", func(m *member) any { return into(&m.CreatedAt) }},
	{"ready_at", func(m *member) any { return into(&m.ReadyAt) }},
	{"deadline", func(m *member) any { return into(&m.Deadline) }},
	{"attempts", func(m *member) any { return &m.Attempts }},
	{"misses", func(m *member) any { return &m.Misses }},
	{"reason", func(m *member) any { return &m.Reason }},
	{"message", func(m *member) any { return &m.Message }},
	{"coalesce(claim_key, '')", func(m *member) any { return &m.Claim.Key }},
	{"owner", func(m *member) any { return &m.Claim.Owner }},
	{"tenant", func(m *member) any { return &m.Claim.Tenant }},
	{"coalesce(claim_details, '')", func(m *member) any { return &m.Claim.Details }},
	{"claimed_at", func(m *member) any { return into(&m.Claim.At) }},
	{"idle_timeout", func(m *member) any { return (*int64)(&m.Claim.IdleTimeout) }},
	{"ends_at", func(m *member) any { return into(&m.Claim.Until) }},
}

var (
	selectMembers = `SELECT ` + memberFields.names() + ` FROM {members} `
	// Whatever index it is that has the row already, nothing is written.
	insertMember = `INSERT OR IGNORE INTO {members} (` + memberColumns.names("") + `) VALUES (` + memberColumns.marks() + `)`
	updateMember = `UPDATE OR IGNORE {members} SET ` + memberColumns.set() + ` WHERE pool = ? AND id = ? AND revision = ?`
)

// poolColumns are what is written of a pool's state; the first two are its key and its revision.
var poolColumns = columns[prewarm.PoolState]{
	{"name", func(s *prewarm.PoolState) any { return s.Pool }},
	{"revision", func(s *prewarm.PoolState) any { return s.Revision + 1 }},
	{"paused", func(s *prewarm.PoolState) any { return flag(s.Paused) }},
	{"paused_by", func(s *prewarm.PoolState) any { return form.Text(s.PausedBy) }},
	{"failed", func(s *prewarm.PoolState) any { return s.Failures.Version }},
	{"failures", func(s *prewarm.PoolState) any { return int64(s.Failures.Count) }},
	{"failed_at", func(s *prewarm.PoolState) any { return micros(s.Failures.At) }},
	{"failure", func(s *prewarm.PoolState) any { return form.Text(s.Failures.Message) }},
	{"extra", func(s *prewarm.PoolState) any { return int64(s.Extra) }},
	{"extra_until", func(s *prewarm.PoolState) any { return micros(s.ExtraUntil) }},
}

var (
	insertPool = `INSERT OR IGNORE INTO {pools} (` + poolColumns.names("") + `) VALUES (` + poolColumns.marks() + `)`
	updatePool = `UPDATE {pools} SET ` + poolColumns.set() + ` WHERE name = ? AND revision = ?`
)

// putPool writes a pool's state over the revision it names.
func (t *tx) putPool(s *prewarm.PoolState) error {
	statement, args := insertPool, poolColumns.args(nil, s)
	if s.Revision != 0 {
		statement, args = updatePool, append(args, s.Pool, s.Revision)
	}
	n, err := t.exec(statement, args...)
	if err != nil || n > 0 {
		return err
	}
	var revision int64 // of one that is not there
	switch _, err := t.queryRow(`SELECT revision FROM {pools} WHERE name = ?`, []any{s.Pool}, &revision); {
	case err != nil:
		return err
	case revision == s.Revision:
		return errNotWritten
	}
	return prewarm.ErrConflict
}

// PoolState implements [prewarm.Store].
func (s *Store) PoolState(ctx context.Context, pool string) (prewarm.PoolState, error) {
	state := prewarm.PoolState{Pool: pool}
	err := s.ready(ctx)
	if err == nil {
		_, err = s.queryRow(ctx, `SELECT revision, paused, paused_by, failed, failures, failed_at, failure, extra, extra_until
			FROM {pools} WHERE name = ?`, []any{pool},
			&state.Revision, &state.Paused, &state.PausedBy, &state.Failures.Version, &state.Failures.Count,
			(*instant)(&state.Failures.At), &state.Failures.Message, &state.Extra, (*instant)(&state.ExtraUntil))
	}
	if err != nil {
		return prewarm.PoolState{}, unavailable(err, "read pool %q", pool)
	}
	return state, nil
}
