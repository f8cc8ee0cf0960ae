package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Tick looks at every workspace that is due at now, truncated to Config.Granularity, and does what the rules say. It
// returns when all of it is committed, failed, or given up because ctx ended; what was not done stays due. Ticks of one
// executor wait for each other.
//
// A host that ticks exactly when something is due (at the WakeAt of a workspace, say) sets Config.Granularity to a
// microsecond, or the truncated instant is before it and the tick finds nothing. Everything else of an executor (Update,
// Activity, Relay) reads Config.Clock; in a simulation that clock should show the instants of the ticks.
//
// The cost is the number of due workspaces: a tick that finds nothing is one query.
func (e *Executor) Tick(ctx context.Context, now time.Time) Stats {
	start := e.clock.Now("executor", "start")
	t := newTally(now.UTC().Truncate(e.cfg.Granularity))
	select {
	case e.ticking <- struct{}{}:
		defer func() { <-e.ticking }()
	case <-ctx.Done():
		t.s.Err = ctx.Err()
		return t.stats()
	}
	t.s.Err = e.tick(ctx, t)
	s := t.stats()
	s.Elapsed = e.clock.Since(start, "executor", "elapsed")
	e.observe(ctx, s)
	return s
}

func (e *Executor) tick(ctx context.Context, t *tally) error {
	// Activity that this process knows of must not lose against a stop that it would have postponed.
	if err := e.FlushActivity(ctx); err != nil {
		return fmt.Errorf("flush activity before the tick: %w", err)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	share, err := e.share(ctx, t.s.At)
	if err != nil {
		return fmt.Errorf("attend as replica: %w", err)
	}
	t.s.share = share
	r := &run{e: e, now: t.s.At, share: share, tally: t, building: make(chan struct{}, e.cfg.Concurrency)}
	r.out = newCommitter(r, fail)

	err = r.pages(ctx)
	r.out.drain(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// observe reports a finished tick to metrics and log.
func (e *Executor) observe(ctx context.Context, s Stats) {
	e.last.Store(&s)
	e.metrics.tick(s, e.clock.Now("executor", "end"))
	e.gauge(ctx)
	switch {
	case s.Err != nil && !errors.Is(s.Err, context.Canceled):
		e.cfg.Logger.ErrorContext(ctx, "lifecycle: tick failed", "at", s.At, "stats", s, "error", s.Err)
	case s.Evaluated > 0:
		e.cfg.Logger.DebugContext(ctx, "lifecycle: tick", "at", s.At, "stats", s)
	}
}

// gauge reads what waits in the store, at most every 15 seconds, because counting may be costly.
func (e *Executor) gauge(ctx context.Context) {
	g, ok := e.store.(lifecycle.Gauges)
	now := e.clock.Now("executor", "gauge")
	if !ok || e.cfg.Registerer == nil || now.UnixNano()-e.gaugedAt.Load() < int64(15*time.Second) {
		return
	}
	b, err := g.Backlog(ctx, now)
	if err != nil {
		return // the gauges keep their last values; the store's trouble shows elsewhere
	}
	e.gaugedAt.Store(now.UnixNano())
	e.metrics.due.Set(float64(b.Due))
	e.metrics.outbox.Set(float64(b.Events))
}

// missedIntervals is how many intervals a replica may miss before its share is divided among the others.
const missedIntervals = 3

// run is one tick.
type run struct {
	e     *Executor
	now   time.Time
	share lifecycle.Shard
	tally *tally
	out   *committer
	// building holds a token for each build that is being prepared, over all groups.
	building chan struct{}
}

// work is a due transition on its way to a build.
type work struct {
	s       *lifecycle.Snapshot
	d       lifecycle.Decision
	version uuid.UUID
}

// pages does all that is due. With caps it first looks at everything, because the first in line may be on the last page.
func (r *run) pages(ctx context.Context) error {
	if r.e.cfg.MaxTransitions == 0 && r.e.cfg.MaxPerTemplate == 0 {
		return r.each(ctx, func(page []lifecycle.Snapshot) { r.build(ctx, r.evaluate(ctx, page)) })
	}
	var all []candidate
	err := r.each(ctx, func(page []lifecycle.Snapshot) {
		for _, w := range r.evaluate(ctx, page) {
			all = append(all, candidate{w.s.Workspace.ID, w.s.Workspace.TemplateID, classOf(w.s, w.d.Transition), w.d.DueAt})
		}
	})
	if err != nil {
		return err
	}
	admitted := admit(all, r.e.cfg.MaxTransitions, r.e.cfg.MaxPerTemplate)
	r.tally.update(func(s *Stats) {
		s.Held = len(all) - len(admitted)
		s.Left += s.Held
	})
	r.e.metrics.skipped.WithLabelValues(string(lifecycle.SkipCap)).Add(float64(len(all) - len(admitted)))
	return r.load(ctx, admitted)
}

// share is the part of the workspaces that this replica looks at.
func (e *Executor) share(ctx context.Context, now time.Time) (lifecycle.Shard, error) {
	if e.cfg.Shard != nil {
		return e.cfg.Shard(), nil
	}
	if s, ok := e.store.(lifecycle.Sharder); ok {
		return s.Shard(ctx, now, e.replica, missedIntervals*e.cfg.Interval)
	}
	return lifecycle.Shard{}, nil
}

// each reads the due workspaces of this replica's share, and those of any share that nobody has looked at in time.
func (r *run) each(ctx context.Context, do func([]lifecycle.Snapshot)) error {
	err := r.read(ctx, lifecycle.DueQuery{Now: r.now, Limit: r.e.cfg.PageSize, Shard: r.share}, do)
	if err != nil || r.share.Count <= 1 {
		return err
	}
	r.out.drain(ctx) // what is still to be written would be read again
	return r.read(ctx, lifecycle.DueQuery{Now: r.now.Add(-r.e.cfg.Interval), Limit: r.e.cfg.PageSize}, do)
}

// read reads page by page, and the next page while the one before is worked on.
func (r *run) read(ctx context.Context, q lifecycle.DueQuery, do func([]lifecycle.Snapshot)) error {
	page, err := r.page(ctx, q)
	for err == nil && len(page) == q.Limit {
		q.After = lifecycle.CursorOf(page[len(page)-1])
		var next []lifecycle.Snapshot
		var reading sync.WaitGroup
		reading.Go(func() { next, err = r.page(ctx, q) })
		do(page)
		reading.Wait()
		page = next
	}
	if err == nil && len(page) > 0 {
		do(page)
	}
	return err
}

func (r *run) page(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	page, err := r.e.store.Due(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read due workspaces: %w", err)
	}
	return page, nil
}

// load does the transitions that were admitted, from fresh snapshots.
func (r *run) load(ctx context.Context, admitted []candidate) error {
	for len(admitted) > 0 {
		n := min(len(admitted), r.e.cfg.PageSize)
		ids := make([]uuid.UUID, n)
		for i, c := range admitted[:n] {
			ids[i] = c.id
		}
		admitted = admitted[n:]
		page, err := r.e.store.Load(ctx, ids...)
		if err != nil {
			return fmt.Errorf("load admitted workspaces: %w", err)
		}
		r.build(ctx, r.evaluate(ctx, page))
	}
	return nil
}

// sift decides on each workspace of a page, commits what needs no build, and returns what does.
func (r *run) evaluate(ctx context.Context, page []lifecycle.Snapshot) []work {
	var works []work
	errs := map[uuid.UUID]error{}
	for i := range page {
		s := &page[i]
		d := lifecycle.Decide(*s, r.now)
		if d.Err != nil {
			errs[s.Workspace.ID] = d.Err
		}
		switch {
		case d.Transition != lifecycle.TransitionNone:
			works = append(works, work{s, d, s.VersionFor(d.Transition)})
		case d.Acts():
			r.out.add(ctx, lifecycle.ApplyFor(*s, d, r.now, r.e.topics), origin{s: s, d: d})
		default:
			r.out.add(ctx, lifecycle.Rearm(*s, r.now), origin{s: s, d: d})
		}
	}
	r.tally.update(func(st *Stats) {
		st.Evaluated += len(page)
		for id, err := range errs {
			st.Errors[id] = err
		}
	})
	return works
}
