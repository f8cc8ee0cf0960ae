package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// A tick does not wait for whoever holds the row in which it is recorded; nor does a process that has ticked take the missing
// record for a gap. One that comes up meanwhile does, once.
func TestTickBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	const interval, settle = time.Minute, time.Hour
	tick := func(of lifecycle.Settler, minute int, settles bool) {
		t.Helper()
		now := epoch.Add(time.Duration(minute) * time.Minute)
		until, err := of.Ticked(soon(t), now, interval, settle)
		must(t, err)
		if settles == until.IsZero() {
			t.Errorf("minute %d: settles until %v", minute, until)
		}
	}
	tick(s, 0, false)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.ticks FOR UPDATE`)
	must(t, err)
	for minute := range 4 {
		tick(s, minute+1, false)
	}
	release := holds(t, pool, `LOCK TABLE dormouse.engine`) // it needs nothing of what concerns all workspaces
	tick(s, 4, false)
	release()
	later := over(t, pool)
	tick(later, 5, true)
	tick(later, 6, false)
	tick(s, 9, true) // a gap is one, whoever holds what
	must(t, tx.Rollback(t.Context()))
	tick(s, 10, false) // the record is ten minutes old, but this process has ticked since
	tick(later, 11, false)
}

// A replica finds its share though somebody holds the rows of all replicas.
func TestShardBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	replicas := []uuid.UUID{uuid.New(), uuid.New()}
	for range 2 {
		for _, r := range replicas {
			_, err := s.Shard(soon(t), epoch, r, time.Minute)
			must(t, err)
		}
	}
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.replicas FOR UPDATE`)
	must(t, err)
	for i, r := range append(replicas, uuid.New()) { // the third comes up meanwhile
		share, err := s.Shard(soon(t), epoch.Add(time.Second), r, time.Minute)
		must(t, err)
		if want := 2 + i/2; share.Count != want {
			t.Errorf("replica %d: %v, want one of %d", i, share, want)
		}
	}
}
