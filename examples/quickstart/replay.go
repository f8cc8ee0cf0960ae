package main

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/simclock"
)

// tickEvery is the executor's interval.
const tickEvery = time.Minute

// options are what the flags choose.
type options struct {
	seed          uint64
	fail          float64
	before, after time.Duration
	days          int
	outage        outage
}

// replay is a fleet, its people and its workers, on one clock.
type replay struct {
	*fleet
	clock      *quartz.Mock
	exec       *executor.Executor
	developers []*developer
	workers    workers
	agenda     agenda
	start, end time.Time
	outage     outage
	// worked is how much work a commit stands for.
	worked time.Duration

	// mu guards what the executor's hooks write: it calls them from several goroutines.
	mu        sync.Mutex
	ledger    *ledger
	stories   stories
	foresight foresight
	points    []policyPoint
}

func newReplay(ctx context.Context, plans []plan, developers []*developer, o options) (*replay, error) {
	start, end := extent(developers, o.days)
	f, err := newFleet(ctx, plans, start)
	if err != nil {
		return nil, err
	}
	r := &replay{
		fleet: f, developers: developers, workers: workers{o.seed, o.fail}, start: start, end: end, outage: o.outage, worked: o.before + o.after,
		clock: simclock.New(start), ledger: newLedger(len(plans), start), foresight: newForesight(start, end),
	}
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(o.seed >> (8 * i))
	}
	r.exec, err = executor.New(f.store, executor.Config{
		Interval: tickEvery, Clock: r.clock, Rand: rand.NewChaCha8(seed), Logger: slog.New(slog.DiscardHandler),
		Builder: executor.BuilderFunc(r.build), Poster: r.post, Auditor: r.audit, Notifier: r.notify,
	})
	if err != nil {
		return nil, err
	}
	for _, d := range developers {
		if err := f.enlist(ctx, start, d); err != nil {
			return nil, err
		}
		r.expect(d)
	}
	return r, nil
}

// extent is the time that is replayed, in whole hours.
func extent(developers []*developer, days int) (start, end time.Time) {
	for _, d := range developers {
		first, last := d.sessions[0].begin, d.sessions[len(d.sessions)-1].end
		if start.IsZero() || first.Before(start) {
			start = first
		}
		if last.After(end) {
			end = last
		}
	}
	start, end = start.Truncate(time.Hour), end.Truncate(time.Hour).Add(time.Hour)
	if limit := start.AddDate(0, 0, days); days > 0 && limit.Before(end) {
		end = limit
	}
	return start, end
}

// run replays everything: what the world does, at its own instants, and a tick every minute. progress is called once in a
// simulated week.
func (r *replay) run(ctx context.Context, progress func(now time.Time)) error {
	week := r.start.AddDate(0, 0, 7)
	for now := r.start; !now.After(r.end); now = now.Add(tickEvery) {
		if err := r.step(ctx, now); err != nil {
			return err
		}
		if !now.Before(week) {
			progress(now)
			week = week.AddDate(0, 0, 7)
		}
	}
	r.ledger.close(r)
	r.finish(ctx)
	r.foresight.compare(r.ledger)
	points, err := r.tryPolicies()
	r.points = points
	return err
}

// step lets a minute pass.
func (r *replay) step(ctx context.Context, now time.Time) error {
	if err := r.world(ctx, now); err != nil {
		return err
	}
	if err := r.tick(ctx, now); err != nil {
		return fmt.Errorf("tick at %s: %w", now.Format(time.RFC3339), err)
	}
	return nil
}

// tick has the executor do what is due, unless there is an outage, and counts.
func (r *replay) tick(ctx context.Context, now time.Time) error {
	r.clock.Set(now)
	if r.outage.covers(now) {
		r.ledger.sample(now)
		return nil
	}
	s := r.exec.Tick(ctx, now)
	if s.Err != nil {
		return s.Err
	}
	r.ledger.tick(s)
	r.ledger.sample(now)
	if err := r.relay(ctx); err != nil {
		return err
	}
	return r.foresee(ctx, now)
}

// world lets happen what happens until an instant.
func (r *replay) world(ctx context.Context, until time.Time) error {
	for {
		h, ok := r.agenda.next(until)
		if !ok {
			return nil
		}
		r.clock.Set(h.at)
		if err := r.happens(ctx, h); err != nil {
			return fmt.Errorf("%s, developer %d: %w", h.at.Format(time.RFC3339), h.who.number, err)
		}
		if err := r.relay(ctx); err != nil {
			return err
		}
	}
}

// relay delivers the events of what was just committed, if there are any. [executor.Executor.Run] would do it by itself.
func (r *replay) relay(ctx context.Context) error {
	left, err := r.fleet.store.Backlog(ctx, r.clock.Now())
	if err != nil || left.Events == 0 {
		return err
	}
	_, err = r.exec.Relay(ctx)
	return err
}

func (r *replay) happens(ctx context.Context, h happening) error {
	switch h.kind {
	case jobBegins:
		_, err := r.exec.Update(ctx, h.id, lifecycle.JobStarted(h.build))
		return err
	case jobEnds:
		return r.jobEnds(ctx, h)
	case arrives:
		return r.arrives(ctx, h.who, h.at)
	case works:
		return r.works(ctx, h.who, h.at)
	default:
		return r.leaves(h.who, h.at)
	}
}

// jobEnds reports the end of a job, and lets a developer who waits for the workspace try again.
func (r *replay) jobEnds(ctx context.Context, h happening) error {
	s, err := r.exec.Update(ctx, h.id, lifecycle.JobEnded(lifecycle.JobResult{
		BuildID: h.build, Status: h.ends.status, Message: h.ends.message,
	}))
	if err != nil {
		return err
	}
	r.foresight.learnBuild(s.Build)
	d := h.who
	if h.id != d.workspace {
		return nil // of a workspace that was deleted under its owner's hands
	}
	if s.Build.Status == lifecycle.JobSucceeded {
		r.turned(d, s.Build.Transition == lifecycle.TransitionStart, h.at)
	}
	if d.present && !d.up && s.Build.Status == lifecycle.JobSucceeded {
		return r.open(ctx, d, s, h.at)
	}
	return nil
}

// turned accounts for a workspace that came up or went down.
func (r *replay) turned(d *developer, up bool, now time.Time) {
	if d.up == up {
		return
	}
	r.ledger.turned(d, up, now)
	if d.up = up; up {
		d.upSince = now
		r.ledger.served(d, now)
	} else if d.present {
		d.interruptions++
		r.ledger.plans[d.plan].interrupted++
		d.waiting = now
	}
}

// post is the queue of jobs: it receives each once its build is committed.
func (r *replay) post(_ context.Context, e lifecycle.Event) error {
	begins, ends, o := r.workers.take(e.Job)
	r.mu.Lock()
	defer r.mu.Unlock()
	h := happening{at: begins, kind: jobBegins, who: r.byID[e.WorkspaceID], id: e.WorkspaceID, build: e.Job.ID}
	heap.Push(&r.agenda, h)
	h.at, h.kind, h.ends = ends, jobEnds, o
	heap.Push(&r.agenda, h)
	return nil
}
