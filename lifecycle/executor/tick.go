package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/goroutines"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Tick evaluates every workspace that is due at now, truncated to Config.Granularity, and makes the transitions that the
// rules ask for. It returns when all of them are committed or have failed, or when ctx ends; what was not done stays due.
// Ticks of one executor wait for each other.
//
// A host that ticks exactly when something is due (at the WakeAt of a workspace, say) sets Config.Granularity to a
// microsecond; otherwise the truncated instant lies before it and the tick finds nothing. Everything else about an executor
// (Update, Activity, Relay) reads Config.Clock; in a simulation that clock should show the instants of the ticks.
//
// The cost is proportional to the number of due workspaces: a tick that finds nothing is one query.
func (e *Executor) Tick(ctx context.Context, now time.Time) Stats {
	start := e.clock.Now("executor", "start")
	t := newTally(now.UTC().Truncate(e.cfg.Granularity))
	if ctx == nil {
		t.s.Err = invalid.New("ctx", nil, "is required")
		return t.stats()
	}
	select {
	case e.ticking <- struct{}{}:
		defer func() { <-e.ticking }()
	case <-ctx.Done():
		t.s.Err = ctx.Err()
		return t.stats()
	}
	t.s.Err = e.tick(ctx, t)
	e.flushOverdue(ctx)
	s := t.stats()
	s.Elapsed = e.clock.Since(start, "executor", "elapsed")
	e.observe(ctx, s)
	return s
}

func (e *Executor) tick(ctx context.Context, t *tally) error {
	leave, err := e.attend(ctx, t.s.At)
	if err != nil {
		return err
	}
	defer leave()
	e.subscribe(ctx)
	e.keepZones(ctx, t.s.At, true)
	defer e.keepZones(ctx, t.s.At, false)
	shard, err := e.shard(ctx, t.s.At)
	if err != nil {
		return fmt.Errorf("find the shard of this replica: %w", err)
	}
	t.s.shard = shard
	e.returned(ctx, t.s.At)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &run{e: e, now: t.s.At, began: e.clock.Now("executor", "begin"), tally: t, fail: fail, building: make(chan struct{}, e.cfg.Concurrency)}
	err = r.all(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return r.afterwards(ctx)
}

// missedIntervals is how many intervals a replica may miss before its shard is divided among the others.
const missedIntervals = 3

// shard is the part of the workspaces that this replica evaluates.
func (e *Executor) shard(ctx context.Context, now time.Time) (lifecycle.Shard, error) {
	if e.cfg.Shard != nil {
		return call(ctx, e.caller, e.builds.timeout, "ask for the shard", func(context.Context) (lifecycle.Shard, error) { return e.cfg.Shard(), nil })
	}
	if e.store.sharder != nil {
		return e.share.of(ctx, e, now)
	}
	return lifecycle.Shard{}, nil
}

// observe reports a tick that ended to metrics and log.
func (e *Executor) observe(ctx context.Context, s Stats) {
	e.last.Store(&s)
	e.ticks.tick(s, e.clock.Now("executor", "end"))
	if e.cfg.Registerer != nil {
		e.ticks.backlog.read(ctx, e.clock.Now("executor", "backlog"))
	}
	switch {
	case s.Err != nil && !errors.Is(s.Err, context.Canceled):
		e.logger.ErrorContext(ctx, "executor: tick failed", "at", s.At, "stats", s, "error", s.Err)
	case s.Evaluated > 0:
		e.logger.DebugContext(ctx, "executor: tick", "at", s.At, "stats", s)
	}
}

// run is one tick.
type run struct {
	e     *Executor
	now   time.Time
	tally *tally
	// began is the clock's instant at the beginning, so that pauses count from when something failed.
	began time.Time
	// fail ends the tick.
	fail context.CancelCauseFunc
	// out takes the changes, groups those that need a build first; nil until something is due.
	out    *committer
	groups *groups
	// calls are the goroutines on which the builder is called.
	calls *goroutines.Pool
	// building holds a token for each build that is being prepared, over all groups.
	building chan struct{}
}

// work is a due transition that needs a build.
type work struct {
	s       *lifecycle.Snapshot
	d       lifecycle.Decision
	version uuid.UUID
}

// all reads what is due, evaluates it and makes the builds, page by page. With limits on the builds it reads everything
// first, because what goes first may be on the last page.
func (r *run) all(ctx context.Context) error {
	defer r.finish(ctx)
	limits := caps{perTick: r.e.cfg.MaxTransitions, perTemplate: r.e.cfg.MaxPerTemplate, yields: r.yields}
	for page, err := range r.e.due(ctx, r.now, r.tally.s.shard) {
		if err != nil {
			return err
		}
		works := r.evaluate(ctx, page)
		if limits.none() {
			r.groups.build(ctx, works)
		} else {
			limits.offer(works)
		}
	}
	if r.groups != nil {
		admitted, held := limits.admit()
		r.tally.update(func(s *Stats) { s.Held, s.Left = held, s.Left+held })
		r.crowded(limits.crowded)
		r.groups.build(ctx, admitted)
	}
	return nil
}

// finish waits until all builds are made and all changes committed.
func (r *run) finish(ctx context.Context) {
	if r.out != nil {
		r.groups.finish(ctx)
		r.calls.End()
		r.e.spare = r.out.finish()
	}
}

// evaluate decides on each workspace of a page, commits what needs no build, and returns what does.
func (r *run) evaluate(ctx context.Context, page []lifecycle.Snapshot) []work {
	if r.out == nil {
		r.out = newCommitter(ctx, r.e.cfg.BatchSize, r.e.cfg.CommitsInFlight, r.e.spare, r.write)
		r.groups = newGroups(r)
		r.calls = goroutines.New(r.e.cfg.Concurrency, 0)
	}
	var works []work
	errs := map[uuid.UUID]error{}
	for i := range page {
		s := &page[i]
		s.Engine.Interval = r.e.cfg.Interval
		if r.blocked(s) {
			continue
		}
		r.e.activity.apply(s, r.now)
		r.e.zones.see(s)
		d, _ := lifecycle.Evaluate(s, r.now)
		if d.Err != nil {
			errs[s.Workspace.ID] = d.Err
		}
		switch {
		case d.Transition != lifecycle.TransitionNone:
			if works == nil { // most of what is due is, as a rule
				works = make([]work, 0, len(page)-i)
			}
			works = append(works, work{s, d, s.VersionFor(d.Transition)})
		case d.Acts():
			r.out.add(&entry{change: lifecycle.ApplyFor(*s, d, r.now, r.e.wanted()), origin: origin{s: s, d: d}})
		default:
			r.out.add(&entry{change: r.received(lifecycle.Rearm(*s, r.now)), origin: origin{s: s, d: d}})
		}
	}
	r.tally.update(func(st *Stats) {
		st.Evaluated += len(page)
		for id, err := range errs {
			st.failed(id, err)
		}
	})
	return works
}
