package dormouse

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
)

// missed is a suspicion that jobs ended and their builds did not: the process that ends a job tells its workspace next, and may
// die in between.
type missed chan struct{}

// newMissed returns a suspicion that stands: another process may have died before this one began.
func newMissed() missed {
	m := make(missed, 1)
	m.suspect()
	return m
}

// suspect does not block.
func (m missed) suspect() {
	select {
	case m <- struct{}{}:
	default:
	}
}

func (p *Plane) runEnds(ctx context.Context) error {
	return p.ends.Run(ctx, p.executor, func(err error) {
		p.cfg.Logger.WarnContext(ctx, "dormouse: end of a build not written, left to a sweep", "error", err)
		p.missed.suspect()
	})
}

// young is the age below which a build is left alone by the sweep: its end may be on its way.
const young = time.Minute

// sweptJobs reads jobs, and cancels those that somebody died canceling.
type sweptJobs struct {
	reads
	buildjobs.Canceler
}

// runSweep looks for builds whose job ended unnoticed: at once, from time to time, and once none of those that a suspicion is
// about is young any more.
func (p *Plane) runSweep(ctx context.Context) error {
	for again := true; again; again = p.awaitSweep(ctx) {
		n, err := buildjobs.Sweep(ctx, p.executor, p.reads, sweptJobs{p.reads, p.acquirer}, p.now().Add(-young))
		if err != nil && ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "dormouse: sweep failed", "error", err)
		}
		if n > 0 {
			p.cfg.Logger.InfoContext(ctx, "dormouse: sweep ended builds whose job was over", "builds", n)
		}
	}
	return nil
}

// awaitSweep reports whether ctx still lives.
func (p *Plane) awaitSweep(ctx context.Context) bool {
	timer := p.cfg.Clock.NewTimer(p.cfg.Sweep, "dormouse", "sweep")
	defer timer.Stop("dormouse", "sweep")
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-p.missed:
		return p.pause(ctx, min(2*young, p.cfg.Sweep)) // twice: clocks differ a little
	}
}
