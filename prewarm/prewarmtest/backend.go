// Package prewarmtest is a backend for tests of hosts that use package prewarm: resources in memory that take time to
// build, and faults to order: slow, failing, lost, late and doubled events, failing listings, restarts and crashes.
//
// It imports nothing but what package prewarm does, and runs on any clock, also in a testing/synctest bubble.
package prewarmtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// Knobs are what a backend does wrong. The zero value does nothing wrong and builds at once.
type Knobs struct {
	// Build is how long a resource takes to become ready.
	Build time.Duration
	// CreateTakes and DestroyTakes are how long the calls themselves take.
	CreateTakes, DestroyTakes time.Duration
	// CreateErr, DestroyErr, ListErr, WatchErr and MarkErr are what the calls return. A failing Create leaves nothing
	// behind, unless CreateLeaves is set.
	CreateErr, DestroyErr, ListErr, WatchErr, MarkErr error
	// CreateLeaves lets a failing Create leave its resource behind: the answer was lost, the request was not.
	CreateLeaves bool
	// NeverReady lets resources that are created start for ever.
	NeverReady bool
	// Hold lets resources that are created wait for admission; see [Backend.Admit].
	Hold bool
	// LoseEvents drops every event, DoubleEvents tells each twice, Delay tells each later.
	LoseEvents, DoubleEvents bool
	Delay                    time.Duration
}

// Backend is a [prewarm.Backend] in memory. It is safe for concurrent use.
type Backend struct {
	clock quartz.Clock

	mu        sync.Mutex
	knobs     Knobs
	resources map[uuid.UUID]*resource
	watchers  map[*watcher]struct{}
	calls     Calls
	marks     map[uuid.UUID]string
}

// Calls counts what was asked of a backend.
type Calls struct{ Create, Destroy, List, Watch, Mark int }

type resource struct {
	pool  string
	event prewarm.Event
	timer *quartz.Timer
}

type watcher struct {
	pool  string
	tell  func(prewarm.Event)
	ended chan error
}

// New returns a backend without resources. A nil clock is the real one.
func New(clock quartz.Clock) *Backend {
	if clock == nil {
		clock = quartz.NewReal()
	}
	return &Backend{
		clock: clock, resources: make(map[uuid.UUID]*resource), watchers: make(map[*watcher]struct{}), marks: make(map[uuid.UUID]string),
	}
}

// Set changes what the backend does wrong from now on.
func (b *Backend) Set(change func(k *Knobs)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.knobs)
}

// Calls returns how often each method was called.
func (b *Backend) Calls() Calls {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Resources returns what exists, by id.
func (b *Backend) Resources() []prewarm.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list("")
}

// Owner returns whom a resource was marked for, "" for nobody.
func (b *Backend) Owner(id uuid.UUID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.marks[id]
}

func (b *Backend) list(pool string) []prewarm.Event {
	var found []prewarm.Event
	for _, r := range b.resources {
		if pool == "" || r.pool == pool {
			found = append(found, r.event)
		}
	}
	slices.SortFunc(found, func(x, y prewarm.Event) int { return slices.Compare(x.Resource[:], y.Resource[:]) })
	return found
}

// Create implements [prewarm.Backend].
func (b *Backend) Create(ctx context.Context, m prewarm.Member) (prewarm.Status, error) {
	k := b.called(func(c *Calls) { c.Create++ })
	if err := b.sleep(ctx, k.CreateTakes); err != nil {
		return prewarm.StatusUnknown, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.CreateErr != nil && !k.CreateLeaves {
		return prewarm.StatusUnknown, k.CreateErr
	}
	r := b.resources[m.Resource]
	if r == nil {
		r = &resource{pool: m.Pool, event: prewarm.Event{Resource: m.Resource, Generation: 1, Status: prewarm.StatusStarting}}
		b.resources[m.Resource] = r
		b.begin(r)
	}
	return r.event.Status, k.CreateErr
}

// begin starts the building of a resource; the lock is held.
func (b *Backend) begin(r *resource) {
	switch {
	case b.knobs.Hold:
		b.become(r, prewarm.StatusHeld)
	case b.knobs.NeverReady:
	case b.knobs.Build == 0:
		b.become(r, prewarm.StatusReady)
	default:
		generation := r.event.Generation
		r.timer = b.clock.AfterFunc(b.knobs.Build, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.resources[r.event.Resource] == r && r.event.Generation == generation && r.event.Status == prewarm.StatusStarting {
				b.become(r, prewarm.StatusReady)
			}
		}, "prewarmtest", "build")
	}
}

func (b *Backend) become(r *resource, s prewarm.Status) {
	r.event.Status = s
	b.emit(r.pool, r.event)
}

// emit tells the watchers of a pool, with the faults that are ordered; the lock is held.
func (b *Backend) emit(pool string, e prewarm.Event) {
	if b.knobs.LoseEvents {
		return
	}
	times := 1
	if b.knobs.DoubleEvents {
		times = 2
	}
	for w := range b.watchers {
		for range times {
			if w.pool != pool {
				continue
			}
			if b.knobs.Delay > 0 {
				b.clock.AfterFunc(b.knobs.Delay, func() { w.tell(e) }, "prewarmtest", "event")
				continue
			}
			w.tell(e)
		}
	}
}

// Destroy implements [prewarm.Backend].
func (b *Backend) Destroy(ctx context.Context, m prewarm.Member) error {
	k := b.called(func(c *Calls) { c.Destroy++ })
	if err := b.sleep(ctx, k.DestroyTakes); err != nil {
		return err
	}
	if k.DestroyErr != nil {
		return k.DestroyErr
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.resources[m.Resource]
	if r == nil {
		return nil
	}
	delete(b.resources, m.Resource)
	e := r.event
	e.Status = prewarm.StatusStopped
	b.emit(r.pool, e)
	return nil
}

// List implements [prewarm.Backend].
func (b *Backend) List(_ context.Context, pool string) ([]prewarm.Event, error) {
	k := b.called(func(c *Calls) { c.List++ })
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list(pool), k.ListErr
}

// Watch implements [prewarm.Backend].
func (b *Backend) Watch(ctx context.Context, pool string, tell func(prewarm.Event)) error {
	if k := b.called(func(c *Calls) { c.Watch++ }); k.WatchErr != nil {
		return k.WatchErr
	}
	w := &watcher{pool: pool, tell: tell, ended: make(chan error, 1)}
	b.mu.Lock()
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-w.ended:
		return err
	}
}

// Mark implements [prewarm.Backend].
func (b *Backend) Mark(_ context.Context, m prewarm.Member) error {
	k := b.called(func(c *Calls) { c.Mark++ })
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.MarkErr == nil {
		b.marks[m.Resource] = m.Claim.Owner
	}
	return k.MarkErr
}

func (b *Backend) called(count func(c *Calls)) Knobs {
	b.mu.Lock()
	defer b.mu.Unlock()
	count(&b.calls)
	return b.knobs
}

func (b *Backend) sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := b.clock.NewTimer(d, "prewarmtest", "call")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Crash ends a resource, and says so. It stays listed as stopped until it is destroyed.
func (b *Backend) Crash(id uuid.UUID) {
	b.with(id, func(r *resource) { b.become(r, prewarm.StatusStopped) })
}

// Forget removes a resource without a word.
func (b *Backend) Forget(id uuid.UUID) { b.with(id, func(*resource) { delete(b.resources, id) }) }

// Restart lets a resource begin anew, as another incarnation.
func (b *Backend) Restart(id uuid.UUID) {
	b.with(id, func(r *resource) {
		r.event.Generation++
		b.become(r, prewarm.StatusStarting)
		b.begin(r)
	})
}

// Admit lets a held resource be built.
func (b *Backend) Admit(id uuid.UUID) {
	b.with(id, func(r *resource) {
		held := b.knobs.Hold
		b.knobs.Hold = false
		b.become(r, prewarm.StatusStarting)
		b.begin(r)
		b.knobs.Hold = held
	})
}

func (b *Backend) with(id uuid.UUID, f func(r *resource)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.resources[id]; r != nil {
		f(r)
	}
}

// Tell sends an event to whoever watches the pool, whatever it says.
func (b *Backend) Tell(pool string, e prewarm.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.emit(pool, e)
}

// ErrBroken is the end of a broken event stream.
var ErrBroken = errors.New("the event stream broke")

// Break ends every event stream.
func (b *Backend) Break() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		select {
		case w.ended <- ErrBroken:
		default:
		}
	}
}
