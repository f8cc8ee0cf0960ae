package prewarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// runPostgres measures claims on a server of its own with fsync on. Without PostgreSQL it says so and measures nothing.
func runPostgres(ctx context.Context, r *figure.Recorder) error {
	server, err := pgtest.StartOwn(ctx, pgtest.Options{Durable: true, Settings: map[string]string{
		"shared_buffers": "256MB", "autovacuum": "off", "max_connections": "100", "jit": "off",
	}})
	if errors.Is(err, pgtest.ErrNotFound) {
		r.Step("the figures of prewarm/claim are left out: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if err := server.CreateDatabase(ctx, "pools", "template0"); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, server.DSN("pools"))
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	if err := claimLimit(ctx, r, pool, store); err != nil {
		return err
	}
	return claimBatch(ctx, r, pool, store)
}

// bareSQL is the least that a claim can be: one row, picked and written.
const bareSQL = `
	UPDATE dormouse.members SET state = 3, revision = revision + 1, reason = 'claimed', claim_key = $1, owner = $2, claimed_at = $3,
		idle_timeout = $4, deadline = $5
	WHERE id = (
		SELECT id FROM dormouse.members WHERE state = 2 AND pool = $6 AND version = $7 AND reserved_for = ''
		ORDER BY ready_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING id`

// claimLimit measures one claim after the other, in turns with the bare statement on the same table.
func claimLimit(ctx context.Context, r *figure.Recorder, pool *pgxpool.Pool, store *postgres.Store) error {
	const claims = 2000
	if err := refill(ctx, pool, store, 3*claims); err != nil {
		return err
	}
	var ours, bare []time.Duration
	for range claims {
		begun := time.Now()
		grants, err := store.ClaimMembers(ctx, now, pick, []prewarm.Claim{newClaim()})
		if err != nil || grants[0].Result != prewarm.GrantNew {
			return fmt.Errorf("claim: %+v, %w", grants, err)
		}
		ours = append(ours, time.Since(begun))
		begun = time.Now()
		var id uuid.UUID
		err = pool.QueryRow(ctx, bareSQL, uuid.NewString(), "ann", now, int64(time.Hour), now.Add(time.Hour), poolName, "v1").Scan(&id)
		if err != nil {
			return fmt.Errorf("bare claim: %w", err)
		}
		bare = append(bare, time.Since(begun))
	}
	note := fmt.Sprintf("p50 of one claim, %v, against one bare skip-locked update, %v", meter.Median(ours), meter.Median(bare))
	r.AtMost(1.3, "prewarm/claim/limit", float64(meter.Median(ours))/float64(meter.Median(bare)), "x", note)
	return nil
}

// claimBatch measures a thousand claimers who come to a pool at once, against one call of the store for all of them.
func claimBatch(ctx context.Context, r *figure.Recorder, pool *pgxpool.Pool, store *postgres.Store) error {
	const claimers, rounds = 1000, 7
	p, err := prewarm.New(store, prewarmtest.New(nil), prewarm.Config{
		Spec: prewarm.Spec{Name: poolName, Version: "v1", Ceiling: 2 * claimers, Paused: true}, Batch: claimers,
		Interval: time.Hour, Relist: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(life) // only its context ends it
	}()
	defer func() {
		stop()
		<-ended
	}()
	var many, one []time.Duration
	for range rounds {
		if err := refill(ctx, pool, store, claimers); err != nil {
			return err
		}
		took, err := claimAtOnce(ctx, p, claimers)
		if err != nil {
			return err
		}
		many = append(many, took)
		if err := refill(ctx, pool, store, claimers); err != nil {
			return err
		}
		claims := make([]prewarm.Claim, claimers)
		for i := range claims {
			claims[i] = newClaim()
		}
		begun := time.Now()
		grants, err := store.ClaimMembers(ctx, now, pick, claims)
		if err != nil || grants[claimers-1].Result != prewarm.GrantNew {
			return fmt.Errorf("claim of many: %w", err)
		}
		one = append(one, time.Since(begun))
	}
	note := fmt.Sprintf("%d claimers at once, %v, against one batched claim, %v", claimers, meter.Median(many), meter.Median(one))
	r.AtMost(1.5, "prewarm/claim/batch", float64(meter.Median(many))/float64(meter.Median(one)), "x", note)
	return nil
}

func claimAtOnce(ctx context.Context, p *prewarm.Pool, n int) (time.Duration, error) {
	var all sync.WaitGroup
	errs := make([]error, n)
	begun := time.Now()
	for i := range n {
		all.Go(func() {
			_, errs[i] = p.Claim(ctx, prewarm.Request{Owner: "ann", IfEmpty: prewarm.Wait})
		})
	}
	all.Wait()
	return time.Since(begun), errors.Join(errs...)
}

var pick = prewarm.Pick{Pool: poolName, Version: "v1", LivesUntil: now.Add(time.Minute)}

func newClaim() prewarm.Claim {
	return prewarm.Claim{Key: uuid.NewString(), Owner: "ann", IdleTimeout: time.Hour}
}

// refill replaces what is in the pool by n ready members that live for long.
func refill(ctx context.Context, pool *pgxpool.Pool, store *postgres.Store, n int) error {
	if _, err := pool.Exec(ctx, `TRUNCATE dormouse.members`); err != nil {
		return err
	}
	members := ready(n)
	for i := range members {
		members[i].Deadline = time.Now().Add(24 * time.Hour)
	}
	if err := insert(ctx, store, members); err != nil {
		return err
	}
	_, err := pool.Exec(ctx, `VACUUM ANALYZE dormouse.members`)
	return err
}
