package acquirer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// latency is T4 and T5: from the announcement of a stored job to the job in hand, in another and in the same process.
func (b *bench) latency(ctx context.Context) error {
	const (
		rounds  = 50
		settled = 8 * time.Millisecond // nothing is announced or written any more
	)
	bus, err := postgres.NewPubsub(b.pool, postgres.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close(context.WithoutCancel(ctx)) }()
	poster, stopPoster, err := running(ctx, b.store, bus, quiet(0))
	if err != nil {
		return err
	}
	defer stopPoster()
	worker, stopWorker, err := running(ctx, b.store, bus, quiet(0))
	if err != nil {
		return err
	}
	defer stopWorker()
	org := uuid.New()
	if err := b.fillRaw(ctx, org, 4*rounds); err != nil {
		return err
	}
	set, err := b.tagSet(ctx)
	if err != nil {
		return err
	}
	var far, near, claims []time.Duration
	for range rounds {
		for _, announcer := range []*acquirer.Acquirer{poster, worker} {
			line, err := waiting(ctx, worker, 1, request(org, nil))
			if err != nil {
				return err
			}
			jobs, err := b.store.Enqueue(ctx, now(), []queue.Posting{{ID: uuid.New(), Organization: org, Tenant: uuid.New(), Type: "build"}})
			if err != nil {
				return err
			}
			time.Sleep(settled)
			begun := time.Now()
			announcer.Announce(jobs...)
			s := <-line
			if s.err != nil {
				return s.err
			}
			if announcer == poster {
				far = append(far, s.at.Sub(begun))
			} else {
				near = append(near, s.at.Sub(begun))
			}
		}
		time.Sleep(settled) // a core that has idled is slow at first, for everybody
		begun := time.Now()
		if _, err := b.raw(ctx, org, set, 1); err != nil {
			return err
		}
		claims = append(claims, time.Since(begun))
	}
	notify, err := b.notify(ctx, rounds)
	if err != nil {
		return err
	}
	limit := notify + meter.Median(claims)
	b.r.AtMost(1.3, "acquirer/T4", ratio(meter.Median(far), limit), "x",
		fmt.Sprintf("another process %s; raw NOTIFY %s + raw claim %s", meter.Median(far), notify, meter.Median(claims)))
	b.r.AtMost(1.2, "acquirer/T5", ratio(meter.Median(near), meter.Median(claims)), "x",
		fmt.Sprintf("same process %s; raw claim %s", meter.Median(near), meter.Median(claims)))
	return nil
}

// notify is the median from NOTIFY on one connection to its arrival at another.
func (b *bench) notify(ctx context.Context, rounds int) (time.Duration, error) {
	listener, err := b.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer listener.Release()
	sender, err := b.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer sender.Release()
	if _, err := listener.Exec(ctx, `LISTEN bench`); err != nil {
		return 0, err
	}
	return timed(rounds, func() error {
		time.Sleep(time.Millisecond)
		errs := make(chan error, 1)
		go func() {
			_, err := sender.Exec(ctx, `SELECT pg_notify('bench', 'x')`)
			errs <- err
		}()
		_, err := listener.Conn().WaitForNotification(ctx)
		return errors.Join(err, <-errs)
	})
}

// idle is T9: the server's CPU for a thousand workers that wait, in one and in a thousand domains, and for a thousand that
// ask once a second.
func (b *bench) idle(ctx context.Context) error {
	period := 4 * time.Second
	if b.r.Full {
		period = time.Minute
	}
	const workers = 1000
	org := uuid.New()
	measure := func() (float64, error) {
		_, cpu, err := b.cost(func() error { time.Sleep(period); return nil })
		return cpu, err
	}
	wait := func(domains int) (float64, error) {
		a, stop, err := running(ctx, b.store, nil, acquirer.Config{Poll: 30 * time.Second})
		if err != nil {
			return 0, err
		}
		defer stop()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for i := range workers {
			go func() { _, _ = a.AcquireJob(ctx, request(org, map[string]string{"d": fmt.Sprint(i % domains)})) }()
		}
		for a.Stats().Waiting < workers {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		return measure()
	}
	one, err := wait(1)
	if err != nil {
		return err
	}
	many, err := wait(workers)
	if err != nil {
		return err
	}
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			for polling.Err() == nil {
				_, _ = b.raw(polling, org, -1, 1)
				time.Sleep(time.Second)
			}
		})
	}
	time.Sleep(time.Second)
	polled, err := measure()
	cancel()
	group.Wait()
	if err != nil {
		return err
	}
	note := fmt.Sprintf("server CPU in %s: one domain %.0f ms, a thousand domains %.0f ms, polling by index once a second %.0f ms", period, 1e3*one, 1e3*many, 1e3*polled)
	b.r.AtMost(1.0/50, "acquirer/T9/shared", one/polled, "x", note)
	b.r.AtMost(1.0/20, "acquirer/T9", many/polled, "x", note)
	return nil
}

// announcing is T10: the rate of commits of many writers, without and with announcements to other processes.
func (b *bench) announcing(ctx context.Context) error {
	const writers = 64
	bus, err := postgres.NewPubsub(b.pool, postgres.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close(context.WithoutCancel(ctx)) }()
	a, stop, err := running(ctx, b.store, bus, quiet(0))
	if err != nil {
		return err
	}
	defer stop()
	org := uuid.New()
	rate := func(commit func(ctx context.Context, p queue.Posting) error) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
		defer cancel()
		var n atomic.Int64
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for ctx.Err() == nil {
					p := posting(org, nil)
					p.ID = uuid.New()
					if commit(ctx, p) == nil {
						n.Add(1)
					}
				}
			})
		}
		group.Wait()
		return float64(n.Load()) / 0.7, nil
	}
	store := func(ctx context.Context, p queue.Posting) error {
		_, err := b.store.Enqueue(ctx, now(), []queue.Posting{p})
		return err
	}
	announce := func(ctx context.Context, p queue.Posting) error { _, err := a.Enqueue(ctx, p); return err }
	inside := func(ctx context.Context, p queue.Posting) error {
		tx, err := b.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if _, err := tx.Exec(ctx, `INSERT INTO ref_jobs VALUES ($1, $2, 'build', '{}', now())`, p.ID, org); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_notify('bench', $1)`, p.ID.String()); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}
	plain := func(ctx context.Context, p queue.Posting) error {
		_, err := b.pool.Exec(ctx, `INSERT INTO ref_jobs VALUES ($1, $2, 'build', '{}', now())`, p.ID, org)
		return err
	}
	rates := make([][]float64, 4)
	for range 3 {
		for i, commit := range []func(context.Context, queue.Posting) error{store, announce, plain, inside} {
			r, err := rate(commit)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], r)
		}
	}
	b.r.AtLeast(0.9, "acquirer/T10", meter.Median(rates[1])/meter.Median(rates[0]), "x",
		fmt.Sprintf("%.0f commits/s with announcements, %.0f without, %d writers", meter.Median(rates[1]), meter.Median(rates[0]), writers))
	b.r.Plain("acquirer/T10/reference", meter.Median(rates[3])/meter.Median(rates[2]), "x",
		fmt.Sprintf("NOTIFY in each transaction: %.0f commits/s, the same insert without %.0f", meter.Median(rates[3]), meter.Median(rates[2])))
	return nil
}

// upkeep is T12: one heartbeat for all running jobs, against renewing each.
func (b *bench) upkeep(ctx context.Context) error {
	const jobs = 1000
	lane, err := b.fill(ctx, uuid.New(), jobs, nil)
	if err != nil {
		return err
	}
	held, err := b.claim(ctx, lane, 0, jobs)
	if err != nil || len(held) != jobs {
		return fmt.Errorf("%d jobs claimed, %w", len(held), err)
	}
	const heartbeats = 200
	beats, rows := 0.0, 0.0
	_, beats, err = b.cost(func() error {
		for range heartbeats {
			if _, err := b.store.Heartbeat(ctx, queue.Heartbeat{Process: b.process, Name: "bench", Now: now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, rows, err = b.cost(func() error {
		for _, j := range held {
			if _, err := b.pool.Exec(ctx, `UPDATE dormouse.jobs SET started_at = $2 WHERE id = $1 AND state = 1 AND fence = $3`, j.ID, now(), j.Fence); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	per := beats / heartbeats / jobs
	b.r.AtMost(1.0/20, "acquirer/T12", per/(rows/jobs), "x",
		fmt.Sprintf("server CPU for each running job and heartbeat: %.2f us, row by row %.1f us, %d jobs", 1e6*per, 1e6*rows/jobs, jobs))
	return nil
}

// pipeline is T15: claim and complete in batches of a thousand, against the two barest statements that do the same. A single
// pair says little, because both wait for the disk and for cores. So the figure is the median of many, and each side goes first
// in every other.
func (b *bench) pipeline(ctx context.Context) error {
	const batch, batches = 1000, 20 // few batches measure the start, not the flow
	pairs := 7
	if b.r.Full {
		pairs = 11
	}
	if _, _, err := b.pipelines(ctx, 2*batch, batch, false); err != nil { // connections and plans are made
		return err
	}
	var ours, raw, ratios []float64
	for i := range pairs {
		mine, barest, err := b.pipelines(ctx, batches*batch, batch, i%2 == 0)
		if err != nil {
			return err
		}
		ours, raw, ratios = append(ours, mine), append(raw, barest), append(ratios, barest/mine)
	}
	n := float64(batches * batch)
	b.r.AtLeast(0.7, "acquirer/T15", meter.Median(ratios), "x",
		fmt.Sprintf("median of %d pairs, %.2f to %.2f; %.0f jobs/s claimed and completed, two raw statements %.0f jobs/s, batch %d",
			pairs, slices.Min(ratios), slices.Max(ratios), n/meter.Median(ours), n/meter.Median(raw), batch))
	return nil
}

// pipelines runs n jobs through each side and returns the seconds that each took.
func (b *bench) pipelines(ctx context.Context, n, batch int, oursFirst bool) (ours, raw float64, err error) {
	org := uuid.New()
	if err := b.fillRaw(ctx, org, n); err != nil {
		return 0, 0, err
	}
	set, err := b.tagSet(ctx)
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.fill(ctx, org, n, nil); err != nil {
		return 0, 0, err
	}
	a, stop, err := running(ctx, b.store, nil, quiet(batch))
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	sides := []func() error{
		func() (err error) {
			raw, _, err = b.cost(func() error { return b.rawPipeline(ctx, org, set, n, batch) })
			return err
		},
		func() (err error) {
			ours, _, err = b.cost(func() error { return ourPipeline(ctx, a, org, n, batch) })
			return err
		},
	}
	if oursFirst {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := side(); err != nil {
			return 0, 0, err
		}
	}
	return ours, raw, nil
}

func (b *bench) rawPipeline(ctx context.Context, org uuid.UUID, set, n, batch int) error {
	for got := 0; got < n; got += batch {
		token := uuid.New()
		rows, err := b.pool.Query(ctx, rawClaimSQL, org, set, batch, now(), b.process, token, uuid.New())
		if err != nil {
			return err
		}
		for rows.Next() {
			if _, err := rows.Values(); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if _, err := b.pool.Exec(ctx, `UPDATE raw_jobs SET state = 2, ended_at = $2 WHERE process_id = $3 AND token = $1 AND state = 1`, token, now(), b.process); err != nil {
			return err
		}
	}
	return nil
}

// ourPipeline claims for a worker with many slots, and ends each job by itself: the acquirer joins the ends.
func ourPipeline(ctx context.Context, a *acquirer.Acquirer, org uuid.UUID, n, batch int) error {
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for got := 0; got < n; {
		jobs, err := a.AcquireJobs(ctx, request(org, nil), batch)
		if err != nil {
			return err
		}
		got += len(jobs)
		for _, job := range jobs {
			group.Go(func() {
				if _, err := a.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
					failed.Store(&err)
				}
			})
		}
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
