package executor

import (
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// write commits a batch, accounts for it, and returns the changes that follow from it. A store that does not return keeps
// the batch.
func (r *run) write(ctx context.Context, b batch) (follow []entry, kept bool) {
	w := writer{store: r.e.store, now: r.now, hurried: hurried{r.e.store}}
	verdicts, err := w.write(ctx, b.changes)
	if len(b.changes) == 1 && b.origins[0].postponed && isLate(err) && !isStuck(err) {
		verdicts[0], err = verdict{settled: true, err: err}, nil // it took too long before
	}
	follow = r.settle(ctx, b, verdicts)
	if err != nil {
		r.fail(err)
	}
	return follow, isStuck(err)
}

// settle accounts for a batch: only what was committed is a transition. It returns the postponements of what the store
// rejected.
func (r *run) settle(ctx context.Context, b batch, verdicts []verdict) (follow []entry) {
	r.tally.update(func(s *Stats) {
		for i := range b.changes {
			r.tally.count(&b.changes[i], &b.origins[i], &verdicts[i])
		}
	})
	now := r.e.clock.Now("executor", "committed")
	var queued []lifecycle.Job
	var written lifecycle.Topics
	for i := range b.changes {
		c, o := &b.changes[i], &b.origins[i]
		switch v := &verdicts[i]; {
		case v.err != nil:
			follow = r.rejected(ctx, follow, o, v.err)
		case v.settled && v.outcome == lifecycle.Conflict:
			r.lost(o)
		case v.applied():
			r.e.obstacles.clear(o.s.Workspace.ID)
			r.e.activity.written(c.Workspace.ID, c.Workspace.LastUsedAt)
			written |= topicsOf(c.Events)
			r.committed(ctx, c, o, now)
			if c.Job != nil && r.e.cfg.Queued != nil {
				queued = append(queued, *c.Job)
			}
		}
	}
	r.e.committed(ctx, written, queued)
	return follow
}

// committed reports a change that was applied to metrics and log.
func (r *run) committed(ctx context.Context, c *lifecycle.Change, o *origin, now time.Time) {
	switch {
	case o.d.Missed:
		r.e.logSkip(ctx, o.s, o.d, lifecycle.SkipMissedWindow, errMissed)
	case c.NewBuild:
		r.e.made.add(&c.Build)
		r.e.ticks.committed(&c.Build, now.Sub(o.d.DueAt))
		r.e.logTransition(ctx, c, o.d, now)
	}
}

var errMissed = errors.New("later than the policy's max lateness")

// rejected postpones a workspace whose change the store rejects. If it rejects the postponement too, the workspace stays
// due, and visible in the Stats of each tick.
func (r *run) rejected(ctx context.Context, follow []entry, o *origin, err error) []entry {
	r.e.logSkip(ctx, o.s, o.d, lifecycle.SkipStore, err)
	if o.postponed {
		r.e.obstacles.refused(o.s, err, r.now)
		return follow
	}
	return append(follow, r.postponement(o.s, lifecycle.SkipStore, err))
}

func (r *run) postponement(s *lifecycle.Snapshot, cause lifecycle.SkipReason, err error) entry {
	now := r.now.Add(r.e.clock.Since(r.began, "executor", "postpone"))
	return entry{change: r.received(lifecycle.Postpone(*s, cause, err.Error(), now)), origin: origin{s: s, postponed: true}}
}

// received leaves out the events that nobody receives: a workspace that is brought in line with a new policy may have some.
func (r *run) received(c lifecycle.Change) lifecycle.Change {
	c.Events = r.e.wanted().Filter(c.Events)
	return c
}

// count accounts for one change. The caller holds the lock.
func (t *tally) count(c *lifecycle.Change, o *origin, v *verdict) {
	switch s := &t.s; {
	case !v.settled:
		s.Left++
	case v.err != nil:
		t.refused, t.refusal = t.refused+1, v.err
		s.rejected(o, v.err)
	case v.outcome == lifecycle.Conflict:
		s.Conflicts++
		s.Left++
	case c.NewBuild:
		t.written++
		if s.Count.Transitions++; len(t.made) < MaxNamed {
			t.made = append(t.made, made{c.Workspace.ID, c.Build.Transition})
		}
	default:
		t.written++
		s.applied(c, o)
	}
}

// applied counts a change without a build that was committed.
func (s *Stats) applied(c *lifecycle.Change, o *origin) {
	switch {
	case o.postponed:
	case o.d.Missed:
		s.Marked++
		s.skip(c.Workspace.ID, lifecycle.SkipMissedWindow)
	case o.d.Acts():
		s.Marked++
	default:
		s.Rearmed++
	}
}

// rejected counts a change that the store rejects.
func (s *Stats) rejected(o *origin, err error) {
	s.failed(o.s.Workspace.ID, err)
	if o.postponed {
		s.Left++
		return
	}
	s.skip(o.s.Workspace.ID, lifecycle.SkipStore)
}
