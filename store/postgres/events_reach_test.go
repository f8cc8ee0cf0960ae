package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// However near a claim begins to look, it takes what one takes that has looked at everything by number.
func TestAClaimOfEventsFindsTheSameByEitherWay(t *testing.T) {
	s, pool := open(t)
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 16))
		exec(t, pool, `DELETE FROM dormouse.events`)
		randomEvents(t, pool, r)
		topics := []lifecycle.Topic{lifecycle.TopicNotice, lifecycle.TopicAudit}[r.IntN(2):]
		limit := r.IntN(14)
		want := claimedWithin(t, s, pool, topics, limit, 1<<30)
		for _, reach := range []int{1, 3, 20} {
			if got := claimedWithin(t, s, pool, topics, limit, reach); got != want {
				t.Errorf("seed %d: %d events of %v, looking at %d first: got %s, want %s", seed, limit, topics, reach, got, want)
			}
		}
	}
}

// randomEvents are those of some workspaces with longer and shorter lines, whose first ones are in every state.
func randomEvents(t *testing.T, pool *pgxpool.Pool, r *rand.Rand) {
	t.Helper()
	type line struct {
		workspace uuid.UUID
		topic     int16
	}
	begun := map[line]bool{}
	lines := make([]uuid.UUID, 1+r.IntN(40))
	for i := range lines {
		lines[i] = uuid.New()
	}
	var workspaces []uuid.UUID
	var topics []int16
	var free []*time.Time
	for range r.IntN(200) {
		l := line{lines[r.IntN(1+r.IntN(len(lines)))], int16(r.IntN(2))}
		var at *time.Time
		if !begun[l] && r.IntN(2) == 0 {
			some := epoch.Add(time.Duration(r.IntN(120)-60) * time.Second)
			at = &some
		}
		begun[l] = true
		workspaces, topics, free = append(workspaces, l.workspace), append(topics, l.topic), append(free, at)
	}
	exec(t, pool, `
		INSERT INTO dormouse.events (workspace_id, topic, free_at, body)
		SELECT workspace_id, topic, free_at, '{}' FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) WITH ORDINALITY
			AS n (workspace_id, topic, free_at, n) ORDER BY n`, workspaces, topics, free)
}

// claimedWithin makes a claim that does not last.
func claimedWithin(t *testing.T, s *postgres.Store, pool *pgxpool.Pool, topics []lifecycle.Topic, limit, reach int) string {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(t.Context())) }()
	events, err := s.Within(tx).ClaimEventsFrom(t.Context(), epoch, topics, limit, reach)
	must(t, err)
	var seqs []int64
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	return fmt.Sprint(seqs)
}
