package executor

import (
	"context"
	"errors"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// settle accounts for a batch: only what was committed is a transition.
func (r *run) settle(ctx context.Context, b batch, verdicts []verdict) {
	now := r.e.clock.Now("executor", "committed")
	var queued []lifecycle.Job
	events := false
	r.tally.update(func(s *Stats) {
		for i := range b.changes {
			c := &b.changes[i]
			switch v := &verdicts[i]; {
			case !v.settled:
				s.Left++
			case v.err != nil:
				s.rejected(&b.origins[i], v.err)
			case v.outcome == lifecycle.Conflict:
				s.Conflicts++
				s.Left++
			case c.NewBuild:
				r.tally.made = append(r.tally.made, made{c.Workspace.ID, c.Build.Transition})
				events = events || len(c.Events) > 0
			default:
				s.applied(c, &b.origins[i])
				events = events || len(c.Events) > 0
			}
		}
	})
	for i := range b.changes {
		c, o := &b.changes[i], &b.origins[i]
		switch v := &verdicts[i]; {
		case v.settled && v.err != nil:
			r.rejected(ctx, o, v.err)
		case v.settled && v.outcome == lifecycle.Applied && o.d.Missed:
			r.e.logSkip(ctx, o.s, o.d, lifecycle.SkipMissedWindow, errMissed)
		case v.settled && v.outcome == lifecycle.Applied && c.NewBuild:
			r.e.metrics.transition(c, now.Sub(o.d.DueAt))
			r.e.logTransition(ctx, c, o.d, now)
			if c.Job != nil && r.e.cfg.Queued != nil {
				queued = append(queued, *c.Job)
			}
		}
	}
	r.e.announce(events, queued)
}

var errMissed = errors.New("later than the policy's max lateness")

// applied counts a change without a build that was committed.
func (s *Stats) applied(c *lifecycle.Change, o *origin) {
	switch {
	case o.postponed:
	case o.d.Missed:
		s.Marked++
		s.Skipped[c.Workspace.ID] = lifecycle.SkipMissedWindow
	case o.d.Acts():
		s.Marked++
	default:
		s.Rearmed++
	}
}

// rejected counts a change that the store does not take.
func (s *Stats) rejected(o *origin, err error) {
	s.Errors[o.s.Workspace.ID] = err
	if o.postponed {
		s.Left++
		return
	}
	s.Skipped[o.s.Workspace.ID] = lifecycle.SkipStore
}

// rejected puts off a workspace whose change the store does not take. If it does not take that either, the workspace
// stays due, and visible in the Stats of each tick.
func (r *run) rejected(ctx context.Context, o *origin, err error) {
	r.e.logSkip(ctx, o.s, o.d, lifecycle.SkipStore, err)
	if o.postponed {
		return
	}
	r.out.put(lifecycle.Postpone(*o.s, lifecycle.SkipStore, err.Error(), r.now), origin{s: o.s, postponed: true})
}

// announce tells whom it concerns what a commit has brought.
func (e *Executor) announce(events bool, queued []lifecycle.Job) {
	if events {
		signal(e.relayC)
	}
	if len(queued) > 0 && e.cfg.Queued != nil {
		e.cfg.Queued(queued)
	}
}
