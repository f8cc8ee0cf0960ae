package rendercache

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"
)

// HandlesConfig configures [Handles]. The zero value works.
type HandlesConfig[K comparable, V any] struct {
	// Check decides for each acquirer, after the shared fetch, whether it may have the value. It runs under the acquirer's
	// own context and without locks, and its error is the acquirer's alone. Defaults to nil: every acquirer may.
	Check func(ctx context.Context, key K, value V) error

	// OnRelease is called once for every value that nobody holds any more, without locks, by the goroutine that let go
	// last. Close what the value holds here. A panic in it is logged and goes no further. Defaults to nil.
	OnRelease func(K, V)

	// Weigh returns the size of a value for the metrics. Defaults to nil: not reported.
	Weigh func(K, V) int64

	// Clock measures how long fetches take. Defaults to the real clock.
	Clock quartz.Clock

	// Logger receives panics of fetches and hooks at Error. Defaults to slog.Default().
	Logger *slog.Logger

	// Registerer receives the metrics in NewHandles, which fails if they cannot be registered; Close unregisters them.
	// Handles that share a registerer need different Instances. Defaults to nil: no metrics. Stats works either way.
	Registerer prometheus.Registerer

	// Namespace is the first part of the metrics' names: <Namespace>_render_handles_<name>. Defaults to "dormouse".
	Namespace string

	// Instance tells these handles from others of the same process: it is the label "instance" of the metrics and an
	// attribute of the log records. Defaults to "": no label and no attribute.
	Instance string
}

func (c HandlesConfig[K, V]) withDefaults() HandlesConfig[K, V] {
	if c.Check == nil {
		c.Check = func(context.Context, K, V) error { return nil }
	}
	if c.OnRelease == nil {
		c.OnRelease = func(K, V) {}
	}
	if c.Weigh == nil {
		c.Weigh = func(K, V) int64 { return 0 }
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Instance != "" {
		c.Logger = c.Logger.With(slog.String("instance", c.Instance))
	}
	if c.Namespace == "" {
		c.Namespace = defaultNamespace
	}
	return c
}

// Handles share values for exactly as long as somebody holds a handle on them: a value is fetched for the first holder
// and dropped with the last. There is no expiry, no limit, and nothing is kept for later. A group of jobs that needs one
// template's files acquires them once and releases them at its end, so the files are fetched once however its jobs
// overlap.
//
// Loading works as in the cache: any number of concurrent acquirers cause one fetch, each waits under its own context, a
// failure reaches all of them and is not kept, and different keys never wait for each other. All methods may be called
// from any goroutine at any time.
type Handles[K comparable, V any] struct {
	cfg     HandlesConfig[K, V]
	start   time.Time
	mu      sync.Mutex // the only lock; no callback runs under it
	shared  map[K]*shared[K, V]
	flights map[*flight[V]]struct{}
	closed  bool
	stats   HandleStats
	work    sync.WaitGroup
	closing sync.Once
	metrics *handleMetrics[K, V]
}

// shared is one value and the references to it. While it is being fetched, each reference is also one of the
// flight's waiters.
type shared[K comparable, V any] struct {
	key    K
	flight *flight[V]
	refs   int
	size   int64
}

// HandleStats counts what Handles have done and what they hold.
type HandleStats struct {
	// Values and References are the values held now and the references to them; Size is the sum of their sizes.
	Values, References int
	Size               int64
	// Hits are acquisitions that found the value, Misses those that fetched, Shared those that joined a fetch, and
	// Errors those that got an error.
	Hits, Misses, Shared, Errors uint64
}

// NewHandles returns Handles without values. It fails only if the metrics cannot be registered.
func NewHandles[K comparable, V any](cfg HandlesConfig[K, V]) (*Handles[K, V], error) {
	cfg = cfg.withDefaults()
	h := &Handles[K, V]{
		cfg:     cfg,
		start:   cfg.Clock.Now(),
		shared:  make(map[K]*shared[K, V]),
		flights: make(map[*flight[V]]struct{}),
	}
	if err := h.register(); err != nil {
		return nil, err
	}
	return h, nil
}

// Handle is one reference to a shared value. Release it.
type Handle[V any] struct {
	value   V
	once    sync.Once
	release func()
}

// Value returns the shared value. It must not be used after Release.
func (h *Handle[V]) Value() V { return h.value }

// Release gives the reference back. Releasing again, from any goroutine, does nothing.
func (h *Handle[V]) Release() { h.once.Do(h.release) }

// Acquire returns a handle on the key's value, and fetches the value if nobody holds it. Release the handle.
//
// Waiting ends with ctx, with an error that wraps ctx.Err(). The fetch runs on its own goroutine with the values of the
// first acquirer's ctx but neither its deadline nor its cancellation; its context is canceled when the last waiter has
// left or the Handles are closed. A first acquirer that is canceled, or that fails the check, therefore does not affect
// the others. A value that arrives when nobody waits for it any more is passed to OnRelease.
//
// The fetch's error reaches every waiter as it is, a panic as a [*PanicError]; the next Acquire fetches again.
func (h *Handles[K, V]) Acquire(ctx context.Context, key K, fetch func(context.Context) (V, error)) (*Handle[V], error) {
	if err := ctx.Err(); err != nil {
		return nil, h.fail(fmt.Errorf("rendercache: acquire handle: %w", err))
	}
	if unfindable(key) {
		return nil, h.fail(fmt.Errorf("rendercache: acquire handle: key %v differs from itself: it could never be found again", key))
	}
	s, origin, err := h.reference(ctx, key, fetch)
	if err != nil {
		return nil, h.fail(err)
	}
	if !s.flight.wait(ctx) {
		h.dereference(s, true)
		return nil, h.fail(fmt.Errorf("rendercache: wait for fetch: %w", ctx.Err()))
	}
	if s.flight.err != nil { // publish has removed the entry and its references
		return nil, h.fail(s.flight.err)
	}
	if err := h.check(ctx, s); err != nil {
		return nil, h.fail(err)
	}
	h.count(origin)
	return &Handle[V]{value: s.flight.value, release: func() { h.dereference(s, false) }}, nil
}

// check asks whether this acquirer may have the value, and gives the reference back if not, even by a panic.
func (h *Handles[K, V]) check(ctx context.Context, s *shared[K, V]) error {
	allowed := false
	defer func() {
		if !allowed {
			h.dereference(s, false)
		}
	}()
	if err := h.cfg.Check(ctx, s.key, s.flight.value); err != nil {
		return fmt.Errorf("rendercache: check handle: %w", err)
	}
	allowed = true
	return nil
}

// reference finds or starts the key's fetch and counts the caller in.
func (h *Handles[K, V]) reference(ctx context.Context, key K, fetch func(context.Context) (V, error)) (*shared[K, V], Origin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, fmt.Errorf("rendercache: acquire handle: %w", ErrClosed)
	}
	s := h.shared[key]
	switch {
	case s == nil:
		s = &shared[K, V]{key: key, refs: 1}
		h.shared[key] = s
		h.stats.References++
		h.launch(ctx, s, fetch)
		return s, Rendered, nil
	case !s.flight.running:
		s.refs++
		h.stats.References++
		return s, Hit, nil
	case s.flight.within(ctx):
		return nil, 0, ErrRecursive
	default:
		s.refs++
		s.flight.waiters++
		h.stats.References++
		return s, Shared, nil
	}
}

// launch starts the fetch. The lock is held.
func (h *Handles[K, V]) launch(ctx context.Context, s *shared[K, V], fetch func(context.Context) (V, error)) {
	f, ctx := newFlight[V](ctx)
	s.flight = f
	h.flights[f] = struct{}{}
	h.work.Go(func() {
		run(h.cfg.Logger,
			func() (outcome[V], error) { return h.attempt(ctx, s.key, fetch) },
			func(o outcome[V], err error) { h.publish(s, o, err) })
	})
}

func (h *Handles[K, V]) attempt(ctx context.Context, key K, fetch func(context.Context) (V, error)) (outcome[V], error) {
	value, err := h.timed(ctx, fetch)
	if err != nil {
		return outcome[V]{}, closedError(ctx, err)
	}
	return outcome[V]{value: value, weight: h.cfg.Weigh(key, value)}, nil
}

// publish ends a fetch. A failed one is removed at once, with all its references; one that nobody waited for has left
// before.
func (h *Handles[K, V]) publish(s *shared[K, V], o outcome[V], err error) {
	f := s.flight
	h.mu.Lock()
	f.running = false
	f.value, f.err = o.value, err
	delete(h.flights, f)
	held := h.shared[s.key] == s
	switch {
	case held && err == nil:
		s.size = o.weight
		h.stats.Values++
		h.stats.Size += s.size
	case held:
		h.stats.References -= s.refs
		s.refs = 0
		delete(h.shared, s.key)
	}
	h.mu.Unlock()
	f.cancel(nil)
	close(f.done)
	if !held && err == nil {
		h.drop(s)
	}
}

// dereference gives one reference back; waiting says that it was one of the fetch's waiters still.
func (h *Handles[K, V]) dereference(s *shared[K, V], waiting bool) {
	if h.uncount(s, waiting) {
		h.drop(s)
	}
}

// uncount reports whether the last reference to a fetched value has gone.
func (h *Handles[K, V]) uncount(s *shared[K, V], waiting bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.refs == 0 { // a failed fetch has dropped them all while this waiter was leaving
		return false
	}
	s.refs--
	h.stats.References--
	if waiting {
		s.flight.leave()
	}
	if s.refs > 0 {
		return false
	}
	delete(h.shared, s.key)
	if s.flight.running {
		return false // publish drops the value, if there will be one
	}
	h.stats.Values--
	h.stats.Size -= s.size
	return true
}

func (h *Handles[K, V]) drop(s *shared[K, V]) {
	notify(h.cfg.Logger, func() { h.cfg.OnRelease(s.key, s.flight.value) })
}

func (h *Handles[K, V]) fail(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Errors++
	return err
}

func (h *Handles[K, V]) count(origin Origin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch origin {
	case Hit:
		h.stats.Hits++
	case Shared:
		h.stats.Shared++
	default:
		h.stats.Misses++
	}
}

// Stats returns a snapshot, taken at one instant.
func (h *Handles[K, V]) Stats() HandleStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// Close refuses further acquisitions with [ErrClosed], cancels running fetches and returns when their goroutines have
// ended. Handles that are held stay valid and must still be released. It may be called more than once and concurrently,
// but not by a fetch or a hook.
func (h *Handles[K, V]) Close() { h.closing.Do(h.shutdown) }

func (h *Handles[K, V]) shutdown() {
	h.mu.Lock()
	h.closed = true
	for f := range h.flights {
		f.cancel(ErrClosed)
	}
	h.mu.Unlock()
	h.work.Wait()
	h.unregister()
}
