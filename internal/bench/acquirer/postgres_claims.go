package acquirer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

// quiet is an acquirer's configuration in which nothing but wake-ups hands out.
func quiet(batch int) acquirer.Config {
	return acquirer.Config{Backup: never, Poll: never, Batch: batch, Clock: wakeUpsOnly}
}

// throughput is T1 and T2: a long line of jobs handed to many waiters of one domain, against the barest batched claim.
func (b *bench) throughput(ctx context.Context) error {
	const batch = 100
	n := b.backlog / 2
	var ours, raw, oursCPU, rawCPU []float64
	for range 3 {
		org := uuid.New()
		if err := b.fillRaw(ctx, org, n); err != nil {
			return err
		}
		set, err := b.tagSet(ctx)
		if err != nil {
			return err
		}
		if _, err := b.fill(ctx, org, n, nil); err != nil {
			return err
		}
		took, cpu, err := b.cost(func() error {
			for got := 0; got < n; {
				k, err := b.raw(ctx, org, set, batch)
				if err != nil {
					return err
				}
				if got += k; k == 0 {
					return errors.New("the raw claim found too few jobs")
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		raw, rawCPU = append(raw, took), append(rawCPU, cpu)
		a, stop, err := running(ctx, b.store, nil, quiet(batch))
		if err != nil {
			return err
		}
		took, cpu, err = b.cost(func() error { return drainLine(ctx, a, org, n, 4*batch) })
		stop()
		if err != nil {
			return err
		}
		ours, oursCPU = append(ours, took), append(oursCPU, cpu)
	}
	perSecond := func(seconds float64) float64 { return float64(n) / seconds }
	b.r.AtLeast(0.8, "acquirer/T1", meter.Median(raw)/meter.Median(ours), "x",
		fmt.Sprintf("%.0f jobs/s to 400 waiters, raw claims of %d: %.0f jobs/s, %d jobs in line", perSecond(meter.Median(ours)), batch, perSecond(meter.Median(raw)), n))
	b.r.AtMost(1.2, "acquirer/T2", meter.Median(oursCPU)/meter.Median(rawCPU), "x",
		fmt.Sprintf("server CPU for each job %.0f us, raw %.0f us, batch %d", 1e6*meter.Median(oursCPU)/float64(n), 1e6*meter.Median(rawCPU)/float64(n), batch))
	return nil
}

// cost runs something and returns its seconds and those of the server's CPU.
func (b *bench) cost(f func() error) (seconds, cpu float64, err error) {
	before, err := b.cpu()
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	seconds = time.Since(begun).Seconds()
	after, err := b.cpu()
	return seconds, max((after - before).Seconds(), 0.005), err
}

// drainLine lets waiters take n jobs, each one after the other.
func drainLine(ctx context.Context, a *acquirer.Acquirer, org uuid.UUID, n, waiters int) error {
	errs := make(chan error, waiters)
	for range waiters {
		go func() {
			for range n / waiters {
				if _, err := a.AcquireJob(ctx, request(org, nil)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range waiters {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// burst is T3: a thousand jobs at once for a thousand waiters.
func (b *bench) burst(ctx context.Context) error {
	const n = 1000
	var ours, raw, single []time.Duration
	for round := range 9 {
		org := uuid.New()
		a, stop, err := running(ctx, b.store, nil, quiet(n))
		if err != nil {
			return err
		}
		line, err := waiting(ctx, a, n, request(org, nil))
		if err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // the look of the first one
		lane, err := b.fill(ctx, org, n, nil)
		if err != nil {
			return err
		}
		begun := time.Now()
		a.Announce(queue.Job{State: queue.Pending, Organization: org, Type: lane.Type, Tags: lane.Tags, Priority: lane.Priority})
		for range n {
			if s := <-line; s.err != nil {
				return s.err
			}
		}
		ours = append(ours, time.Since(begun))
		stop()
		if err := b.fillRaw(ctx, org, 2*n); err != nil {
			return err
		}
		set, err := b.tagSet(ctx)
		if err != nil {
			return err
		}
		begun = time.Now()
		if got, err := b.raw(ctx, org, set, n); err != nil || got != n {
			return fmt.Errorf("raw claim: %d jobs, %w", got, err)
		}
		raw = append(raw, time.Since(begun))
		if round > 0 {
			continue
		}
		begun = time.Now()
		for range n {
			if _, err := b.raw(ctx, org, set, 1); err != nil {
				return err
			}
		}
		single = append(single, time.Since(begun))
	}
	note := fmt.Sprintf("last of 1,000 waiters after %s; one raw claim of 1,000 %s; one row for each query, key index, %s", meter.Median(ours), meter.Median(raw), meter.Median(single))
	b.r.AtMost(2, "acquirer/T3", ratio(meter.Median(ours), meter.Median(raw)), "x", note)
	b.r.AtLeast(18, "acquirer/T3/reference", ratio(meter.Median(single), meter.Median(ours)), "x", note)
	return nil
}

// probes is T6 and T7: a claim in a short and in a long line, and one that finds nothing beside many foreign jobs.
func (b *bench) probes(ctx context.Context) error {
	const rounds = 60
	timeClaims := func(lane queue.Lane) (time.Duration, error) {
		return timed(rounds, func() error {
			jobs, err := b.claim(ctx, lane, 0, 1)
			if err == nil && len(jobs) != 1 {
				err = errors.New("nothing to claim")
			}
			return err
		})
	}
	org := uuid.New()
	long, err := b.fill(ctx, org, b.backlog, nil)
	if err != nil {
		return err
	}
	short, err := b.fill(ctx, uuid.New(), 2*rounds+100, nil)
	if err != nil {
		return err
	}
	if _, err := timeClaims(short); err != nil { // warm
		return err
	}
	inShort, err := timeClaims(short)
	if err != nil {
		return err
	}
	inLong, err := timeClaims(long)
	if err != nil {
		return err
	}
	b.r.AtMost(1.5, "acquirer/T6", ratio(inLong, inShort), "x", fmt.Sprintf("claim of one among %d pending %s, among 100 %s", b.backlog, inLong, inShort))

	foreign, err := queue.NewTagSet(map[string]string{"gpu": "yes"})
	if err != nil {
		return err
	}
	if _, err := b.fill(ctx, uuid.New(), 1, map[string]string{"gpu": "yes"}); err != nil {
		return err
	}
	empty := queue.Lane{Organization: org, Type: "build", Tags: foreign}
	nothing, err := timed(rounds, func() error { _, err := b.claim(ctx, empty, 0, 1); return err })
	if err != nil {
		return err
	}
	probe, err := timed(rounds, func() error { _, err := b.raw(ctx, org, -1, 1); return err })
	if err != nil {
		return err
	}
	if err := b.fillReference(ctx, org); err != nil {
		return err
	}
	reference, err := timed(3, func() error { return b.reference(ctx, org, `{"scope": "organization", "owner": "", "gpu": "yes"}`) })
	if err != nil {
		return err
	}
	note := fmt.Sprintf("beside %d foreign jobs: ours %s, raw index probe %s, a tag function for each row %s", b.backlog, nothing, probe, reference)
	b.r.AtMost(2, "acquirer/T7", ratio(nothing, probe), "x", note)
	b.r.Plain("acquirer/T7/reference", ratio(reference, probe), "x", note)
	return nil
}

func (b *bench) fillReference(ctx context.Context, org uuid.UUID) error {
	_, err := b.pool.Exec(ctx, `INSERT INTO ref_jobs SELECT gen_random_uuid(), $1, 'build',
		'{"scope": "organization", "owner": "", "os": "linux"}', now() + i * interval '1 us' FROM generate_series(1, $2) AS i`, org, b.backlog)
	if err == nil {
		_, err = b.pool.Exec(ctx, `ANALYZE ref_jobs`)
	}
	return err
}

// reference claims one row the usual way.
func (b *bench) reference(ctx context.Context, org uuid.UUID, tags string) error {
	_, err := b.pool.Exec(ctx, `UPDATE ref_jobs SET started_at = now(), worker_id = $3 WHERE id = (
		SELECT id FROM ref_jobs WHERE started_at IS NULL AND org = $1 AND type = ANY(ARRAY['build']) AND tags_fit(tags, $2)
		ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)`, org, tags, uuid.New())
	return err
}

// oldSnapshot is T11: claims while a transaction keeps every dead row alive. The lower bound is kept as an acquirer does.
func (b *bench) oldSnapshot(ctx context.Context) error {
	n := b.backlog / 2
	lane, err := b.fill(ctx, uuid.New(), n+500, nil)
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
	from := int64(0)
	one := func() error {
		jobs, err := b.claim(ctx, lane, from, 1)
		if err == nil && len(jobs) == 1 {
			from = jobs[0].Order
		}
		return err
	}
	start, err := timed(60, one)
	if err != nil {
		return err
	}
	for got := 0; got < n; {
		jobs, err := b.claim(ctx, lane, from, 500)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			break
		}
		got += len(jobs)
		from = jobs[len(jobs)-1].Order
	}
	end, err := timed(60, one)
	if err != nil {
		return err
	}
	without, err := timed(10, func() error { _, err := b.claim(ctx, lane, 0, 1); return err })
	if err != nil {
		return err
	}
	b.r.AtMost(2, "acquirer/T11", ratio(end, start), "x",
		fmt.Sprintf("claim of one %s at the start, %s after %d claims under an old snapshot, %s without the lower bound", start, end, n, without))
	return nil
}

// fairness is T13: a batch of a hundred when one of a hundred tenants owns nearly all that waits.
func (b *bench) fairness(ctx context.Context) error {
	flood := b.backlog / 4
	org, plain := uuid.New(), uuid.New()
	owner := uuid.New()
	var postings []queue.Posting
	for range flood {
		postings = append(postings, queue.Posting{ID: uuid.New(), Organization: org, Tenant: owner, Type: "build"})
	}
	for range 99 {
		for range 8 {
			postings = append(postings, posting(org, nil))
		}
	}
	for i := range postings[flood:] { // 99 tenants with 8 jobs each
		postings[flood+i].Tenant = uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(i % 99)})
		postings[flood+i].ID = uuid.New()
	}
	for len(postings) > 0 {
		k := min(1000, len(postings))
		if _, err := b.store.Enqueue(ctx, now(), postings[:k]); err != nil {
			return err
		}
		postings = postings[k:]
	}
	lane, err := b.fill(ctx, plain, flood, nil)
	if err != nil {
		return err
	}
	if _, err := b.pool.Exec(ctx, `ANALYZE dormouse.jobs`); err != nil {
		return err
	}
	fair := lane
	fair.Organization = org
	tenants, took := 100, map[bool][]time.Duration{}
	for range 8 {
		for _, isFair := range []bool{true, false} {
			l := lane
			if isFair {
				l = fair
			}
			begun := time.Now()
			jobs, err := b.claim(ctx, l, 0, 100)
			if err != nil {
				return err
			}
			took[isFair] = append(took[isFair], time.Since(begun))
			if isFair {
				seen := make(map[uuid.UUID]bool)
				for _, j := range jobs {
					seen[j.Tenant] = true
				}
				tenants = min(tenants, len(seen))
			}
		}
	}
	note := fmt.Sprintf("batch of 100 with 100 tenants %s, plain order %s", meter.Median(took[true]), meter.Median(took[false]))
	b.r.AtLeast(100, "acquirer/T13/tenants", float64(tenants), "tenants", "in each of 8 batches of 100, when one owns 86 to 97 percent; "+note)
	b.r.AtMost(1.2, "acquirer/T13", ratio(meter.Median(took[true]), meter.Median(took[false])), "x", note)
	return nil
}
