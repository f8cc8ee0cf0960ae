package dormouse

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/migrate"
)

// Run runs the plane until ctx ends. It returns nil when everything that it started has ended, and an error that names each call of
// the host's functions or the store that does not return: one is given up 3 seconds after its time. A Config.Build alone is waited
// for, since nobody else may make the build while it goes on. Run first asks the store: an
// error that time cannot heal, such as tables that [Plane.Migrate] has not made, is returned at once; a store that cannot be
// reached is asked again until it can. Later errors of the store are logged, and what failed is tried again.
//
// When ctx ends, the workers take no more builds and have worker.Config.Drain, a minute unless TuneWorker changes it, for
// those they run. After that such a build goes back into line. What they wrote is delivered, for 5 seconds more at most; what is
// left is delivered at the next start, or by another process. Run may be called once; another call returns [ErrAlreadyRun].
func (p *Plane) Run(ctx context.Context) error {
	if !p.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	defer p.executor.Close()
	defer p.pools.close()
	err := p.ready(ctx)
	switch {
	case err != nil || ctx.Err() != nil:
	case p.onlooker != nil:
		p.runShadow(ctx)
	default:
		err = p.runAll(ctx)
	}
	return errors.Join(err, p.reads.given.Leftovers("dormouse"))
}

// runAll runs the engines and what is beside them until ctx ends, or one of them fails.
func (p *Plane) runAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed failures
	fail := func(err error) { failed.add(err); cancel() }
	// What is to end after something else hears of ctx's end from that, not from ctx.
	lasting := context.WithoutCancel(ctx)
	engine := begin(lasting, fail, p.executor.Run)
	ends := begin(lasting, fail, p.runEnds)
	handOff := begin(lasting, fail, p.acquirer.Run)
	work := begin(ctx, fail, p.runWorker, p.runSweep, p.runPools, p.runMachines)
	<-ctx.Done()
	for _, s := range []*stage{work, handOff, ends, engine} {
		s.end()
	}
	p.tellLast(lasting)
	return failed.all()
}

// failures are the errors with which the parts of a run end. Methods may be called at once.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// all are those added so far as one error, nil if there are none.
func (f *failures) all() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// lastWords bounds the delivery of what the end of the run has written.
const lastWords = 5 * time.Second

// tellLast delivers what the drain has written: perhaps nobody else looks for it until the next start.
func (p *Plane) tellLast(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.cfg.Clock.AfterFunc(lastWords, cancel, "dormouse", "last words").Stop()
	if _, err := p.executor.Relay(ctx); err != nil {
		p.cfg.Logger.WarnContext(ctx, "dormouse: last events left to the next start", "error", err)
	}
}

// stage is a part of a run that ends as a whole.
type stage struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// begin starts the parts of a stage. The error of one ends the whole run.
func begin(ctx context.Context, fail func(error), parts ...func(context.Context) error) *stage {
	s := &stage{}
	ctx, s.cancel = context.WithCancel(ctx)
	for _, part := range parts {
		s.wg.Go(func() {
			if err := part(ctx); err != nil {
				fail(err)
			}
		})
	}
	return s
}

func (s *stage) end() {
	s.cancel()
	s.wg.Wait()
}

// ready waits until the store answers, or returns why it never will.
func (p *Plane) ready(ctx context.Context) error {
	for failures := 0; ; failures++ {
		_, err := p.reads.NextWake(ctx, lifecycle.Shard{})
		if err == nil || ctx.Err() != nil {
			return nil
		}
		var version *migrate.VersionError
		if errors.As(err, &version) || !errors.Is(err, lifecycle.ErrUnavailable) {
			return err
		}
		p.cfg.Logger.WarnContext(ctx, "dormouse: store does not answer yet", "error", err)
		p.pause(ctx, backoff.Doubled(100*time.Millisecond, failures, 10*time.Second))
	}
}

// pause waits, and reports whether ctx still lives.
func (p *Plane) pause(ctx context.Context, d time.Duration) bool {
	timer := p.cfg.Clock.NewTimer(d, "dormouse", "pause")
	defer timer.Stop("dormouse", "pause")
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (p *Plane) runWorker(ctx context.Context) error {
	if p.worker == nil {
		return nil
	}
	return p.worker.Run(ctx)
}
