package chaos_test

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// worker claims jobs, runs them and reports, with the bare verbs of the store: as little as possible stands between the
// test and what it tests.
type worker struct {
	o       *world
	s       *postgres.Store
	pool    *pgxpool.Pool
	process uuid.UUID
	// seen is the last count of beats of each process, and when it was new.
	seen map[uuid.UUID]beat
}

type beat struct {
	n  int64
	at time.Time
}

// silence is how long a process may be silent. It is longer than a store call tries to reach the server.
const silence = 4 * time.Second

func newWorker(o *world, s *postgres.Store, pool *pgxpool.Pool) *worker {
	return &worker{o: o, s: s, pool: pool, process: uuid.New(), seen: make(map[uuid.UUID]beat)}
}

func (w *worker) run(ctx context.Context) {
	every(ctx, tickEvery, func() {
		pulse, err := w.s.Heartbeat(ctx, queue.Heartbeat{Process: w.process, Now: time.Now()})
		if errors.Is(err, queue.ErrProcessLost) {
			w.process = uuid.New()
		}
		if err != nil {
			return // whatever it is, the next round tries again
		}
		w.bury(ctx, pulse)
		w.work(ctx)
	})
}

// bury gives back the jobs of processes that stand still.
func (w *worker) bury(ctx context.Context, pulse queue.Fleet) {
	for _, p := range pulse.Processes {
		last, known := w.seen[p.ID]
		if !known || last.n != p.Heartbeats {
			w.seen[p.ID] = beat{p.Heartbeats, time.Now()}
			continue
		}
		if p.ID == w.process || time.Since(last.at) < silence {
			continue
		}
		reaped, err := w.s.Reap(ctx, queue.ReapRequest{Now: time.Now(), Process: p.ID, Heartbeats: p.Heartbeats, Limit: 100})
		var ends []queue.End
		for _, j := range reaped.Jobs {
			ends = append(ends, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeRequeued, Process: p.ID})
		}
		if err == nil {
			_, _ = w.s.End(ctx, time.Now(), ends)
		}
	}
}

func (w *worker) work(ctx context.Context) {
	listing, err := w.s.Ready(ctx, time.Now(), queue.ReadyQuery{CountTo: 1})
	if err != nil {
		return
	}
	for _, lane := range listing.Lanes {
		c := queue.Claim{
			Token: uuid.New(), Process: w.process, Now: time.Now(), Probes: []queue.Probe{{Lane: lane.Lane}},
			Workers: []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()},
		}
		claimed, err := w.s.Claim(ctx, c)
		jobs := claimed.Jobs
		if err != nil { // the answer may be lost and the jobs ours
			jobs, _ = w.s.Jobs(ctx, queue.Filter{Process: w.process, Token: c.Token})
		}
		for _, j := range jobs {
			w.do(ctx, j)
		}
	}
}

// do runs one job, again and again until it is reported or the lease is lost. A process that lives keeps what it holds.
func (w *worker) do(ctx context.Context, j queue.Job) {
	for ctx.Err() == nil {
		if _, err := w.s.Heartbeat(ctx, queue.Heartbeat{Process: w.process, Now: time.Now()}); errors.Is(err, queue.ErrProcessLost) {
			return
		}
		if err := w.attempt(ctx, j); err == nil {
			return
		}
	}
}

func (w *worker) attempt(ctx context.Context, j queue.Job) error {
	_, err := w.pool.Exec(ctx, `INSERT INTO chaos.ran (job_id, fence, process_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		j.ID.String(), j.Fence, w.process.String())
	if err != nil {
		return err
	}
	build, err := buildjobs.BuildOf(j)
	if err != nil {
		return err
	}
	if err := w.report(ctx, build); err != nil {
		return err
	}
	_, err = w.s.End(ctx, time.Now(), []queue.End{{Handout: j.Handout(), Process: w.process, Outcome: queue.OutcomeSucceeded}})
	return err
}

// report ends the build, as an executor's Update does, in the world of the replicas.
func (w *worker) report(ctx context.Context, build lifecycle.Job) error {
	for {
		found, err := w.s.Load(ctx, build.WorkspaceID)
		if err != nil {
			return err
		}
		now := w.o.now()
		c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: build.ID, Status: lifecycle.JobSucceeded})(found[0], now)
		if errors.Is(err, lifecycle.ErrUnchanged) || errors.Is(err, lifecycle.ErrStaleBuild) {
			return nil // reported before, by whoever held the job then
		}
		if err != nil {
			return err
		}
		outcomes, err := w.s.Commit(ctx, now, []lifecycle.Change{c})
		if err != nil || outcomes[0] == lifecycle.Applied {
			return err
		}
	}
}
