package acquirer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// enqueue posts n jobs of one tenant.
func (b *bench) enqueue(ctx context.Context, n int, p queue.Posting) (lane queue.Lane, err error) {
	for n > 0 {
		some := make([]queue.Posting, min(n, 1000))
		for i := range some {
			some[i] = p
			some[i].ID = uuid.New()
		}
		jobs, err := b.store.Enqueue(ctx, now(), some)
		if err != nil {
			return lane, err
		}
		lane = jobs[0].Lane()
		n -= len(some)
	}
	return lane, nil
}

// limited claims for an organization in which a tenant at its limit has many jobs in line, and another one some behind it,
// beside one in which the first has a hundred.
func (b *bench) limited(ctx context.Context) error {
	const few, rounds = 100, 40
	limits := queue.Limits{PerTenant: rounds + 10}
	claims := map[int]func() error{}
	for _, ready := range []int{few, b.backlog} {
		org, busy := uuid.New(), uuid.New()
		lane, err := b.enqueue(ctx, ready+limits.PerTenant, queue.Posting{Organization: org, Tenant: busy, Type: "build"})
		if err != nil {
			return err
		}
		claim := func(workers int) (int, error) {
			c := queue.Claim{Token: uuid.New(), Process: b.process, Now: now(), Probes: []queue.Probe{{Lane: lane}}, Limits: limits}
			for range workers {
				c.Workers = append(c.Workers, uuid.New())
			}
			claimed, err := b.store.Claim(ctx, c)
			return len(claimed.Jobs), err
		}
		if n, err := claim(limits.PerTenant); err != nil || n != limits.PerTenant {
			return fmt.Errorf("%d claimed, want %d: %w", n, limits.PerTenant, err)
		}
		// Behind all of the first tenant's in line: its weight makes the steps of a tenant with nothing in line as wide.
		if _, err := b.enqueue(ctx, rounds, queue.Posting{Organization: org, Tenant: uuid.New(), Type: "build", Weight: 1}); err != nil {
			return err
		}
		if _, err := b.pool.Exec(ctx, `UPDATE dormouse.jobs SET place = place + 1000000000000 WHERE organization_id = $1 AND tenant_id <> $2`, org, busy); err != nil {
			return err
		}
		claims[ready] = func() error {
			n, err := claim(1)
			if err == nil && n != 1 {
				err = fmt.Errorf("%d claimed", n)
			}
			return err
		}
	}
	if _, err := b.pool.Exec(ctx, `ANALYZE dormouse.jobs`); err != nil {
		return err
	}
	took := make(map[int]time.Duration)
	for ready, claim := range claims {
		t, err := timed(rounds, claim)
		if err != nil {
			return err
		}
		took[ready] = t
	}
	b.r.AtMost(2, "acquirer/limited", ratio(took[b.backlog], took[few]), "x",
		fmt.Sprintf("claim of one behind a tenant at its limit with %d ready: %s, with %d: %s", b.backlog, took[b.backlog], few, took[few]))
	return nil
}

// delayed looks at an organization beside many delayed jobs of another, and, look by look in turns, at one in tables without any.
func (b *bench) delayed(ctx context.Context) error {
	plain, err := postgres.New(b.pool, postgres.Config{Schema: "plain"})
	if err != nil {
		return err
	}
	if err := plain.Migrate(ctx); err != nil {
		return err
	}
	org := uuid.New()
	few := make([]queue.Posting, 10)
	for i := range few {
		few[i] = queue.Posting{ID: uuid.New(), Organization: org, Tenant: uuid.New(), Type: "build"}
	}
	for _, s := range []*postgres.Store{b.store, plain} {
		if _, err := s.Enqueue(ctx, now(), few); err != nil {
			return err
		}
	}
	foreign := queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", NotBefore: now().Add(time.Hour)}
	if _, err := b.enqueue(ctx, b.backlog, foreign); err != nil {
		return err
	}
	if _, err := b.pool.Exec(ctx, `ANALYZE dormouse.jobs; ANALYZE plain.jobs`); err != nil {
		return err
	}
	look := func(s *postgres.Store) (time.Duration, error) {
		begun := time.Now()
		_, err := s.Ready(ctx, now(), queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1})
		return time.Since(begun), err
	}
	var beside, alone []time.Duration
	for range 200 {
		x, err := look(b.store)
		if err != nil {
			return err
		}
		y, err := look(plain)
		if err != nil {
			return err
		}
		beside, alone = append(beside, x), append(alone, y)
	}
	b.r.AtMost(2, "acquirer/delayed", ratio(meter.Median(beside), meter.Median(alone)), "x",
		fmt.Sprintf("a look beside %d delayed jobs of another organization %s, beside none %s", b.backlog, meter.Median(beside), meter.Median(alone)))
	return nil
}

// snapshot looks at an organization while a transaction keeps alive what many claims have left in the index.
func (b *bench) snapshot(ctx context.Context) error {
	n := b.backlog / 2
	org := uuid.New()
	lane, err := b.fill(ctx, org, n+500, nil)
	if err != nil {
		return err
	}
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT count(*) FROM dormouse.jobs`); err != nil {
		return err
	}
	look := func() error {
		_, err := b.store.Ready(ctx, now(), queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1})
		return err
	}
	start, err := timed(60, look)
	if err != nil {
		return err
	}
	from := int64(0)
	for got := 0; got < n; {
		jobs, err := b.claim(ctx, lane, from, 500)
		if err != nil || len(jobs) == 0 {
			return fmt.Errorf("%d of %d claimed: %w", got, n, err)
		}
		got += len(jobs)
		from = jobs[len(jobs)-1].Order
	}
	end, err := timed(60, look)
	if err != nil {
		return err
	}
	b.r.AtMost(2, "acquirer/snapshot", ratio(end, start), "x",
		fmt.Sprintf("a look %s at the start, %s after %d claims under an old snapshot", start, end, n))
	return nil
}
