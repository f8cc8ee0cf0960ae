package rendercache

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dormouse-go/dormouse/internal/goroutines"
	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// Memo is what callers need of a cache. [Cache] and [Noop] implement it.
type Memo[K comparable, V any] interface {
	Render(ctx context.Context, key K, render func(context.Context) (V, error)) (V, error)
	Get(key K) (V, bool)
	Put(key K, value V)
	Close()
}

// goroutineRest is how long goroutines stay for the next render: through the pauses of a burst, and not when the cache is idle.
const goroutineRest = 100 * time.Millisecond

// Cache stores rendered values. See the package comment for what it guarantees. All methods may be called from any
// goroutine at any time, even after Close; but Close must not be called from inside a render or a hook.
type Cache[K comparable, V any] struct {
	cfg          Config[K, V]
	life         rules.Life
	refreshAfter int64
	heaviest     int64 // what one value counts at most
	start        time.Time
	table        table[K, V]
	samples      samples
	slots        *slots

	evicting sync.Mutex // one eviction at a time, so that none takes too many
	work     *goroutines.Pool
	sweeper  sweeper
	closed   atomic.Bool // read under a shard's lock by whatever would add to that shard
	closing  sync.Once

	counters counters
	metrics  *metrics[K, V] // nil: not registered
}

// New returns an empty cache. It returns an [*invalid.Error] for a bad configuration, and the registerer's error if the
// metrics cannot be registered. Close the cache: its timer, its goroutines and its metrics live until then.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Cache[K, V]{
		cfg:          cfg,
		life:         rules.NewLife(cfg.TTL, cfg.MaxAge),
		refreshAfter: int64(cfg.RefreshAfter),
		heaviest:     math.MaxInt64 / (int64(cfg.MaxEntries) + atOnce),
		start:        cfg.Clock.Now(),
		work:         goroutines.New(runtime.GOMAXPROCS(0), goroutineRest),
	}
	c.table.init(cfg.Groups)
	c.samples.init()
	c.slots = newSlots(cfg.MaxConcurrentRenders, cfg.OwnerShare)
	c.table.held.limit(cfg.OwnerShare, cfg.MaxEntries, cfg.MaxWeight)
	if err := c.register(); err != nil {
		return nil, err
	}
	c.startSweeping()
	return c, nil
}

// now is the time since the cache's start. Since on a fixed base costs two thirds of Now.
func (c *Cache[K, V]) now() int64 { return max(0, int64(c.cfg.Clock.Since(c.start))) }

// Render returns the value of the key, calling render when there is none. Concurrent calls for one key share one
// render; all get the same value or the same error.
//
// Waiting ends with ctx, with an error that wraps ctx.Err(); a value that is in the cache is returned even then. The
// render runs on its own goroutine with the values of ctx but neither its deadline nor its cancellation: its context is
// canceled when the last waiter has left or the cache is closed. A render that ignores that runs on, and its result is
// dropped.
//
// An error of render is returned as it is, with the zero value, and not kept unless Config.ErrorTTL says so. A value
// returned with [ErrNoStore] reaches every waiter without an error and is not kept. A panic becomes a [*PanicError].
// After Close, Render only calls render.
func (c *Cache[K, V]) Render(ctx context.Context, key K, render func(context.Context) (V, error)) (V, error) {
	now, hash := c.now(), c.table.hash(key)
	c.cfg.KeyLog.request(hash, now)
	req := Request[K, V]{Key: key, Render: render}
	if v, ok := c.find(hash, key, now); ok {
		if v.due {
			c.refresh(ctx, req, hash, now)
		}
		return v.value, nil
	}
	r, err := c.obtain(ctx, req, hash, now)
	return r.Value, err
}

// Do is [Cache.Render] with a result that includes its age, its origin, and the cause of a miss.
func (c *Cache[K, V]) Do(ctx context.Context, req Request[K, V]) (Result[V], error) {
	now, hash := c.now(), c.table.hash(req.Key)
	c.cfg.KeyLog.request(hash, now)
	if v, ok := c.find(hash, req.Key, now); ok {
		if v.due {
			c.refresh(ctx, req, hash, now)
		}
		return c.found(v, now), nil
	}
	return c.obtain(ctx, req, hash, now)
}

// Get returns the value of the key if it is in the cache. It counts as a use and a hit, or as a miss. A key that is being
// rendered is a miss, and so is a remembered failure. Get never removes anything.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	v, ok := c.look(key, c.now())
	return v.value, ok
}

// Lookup is [Cache.Get] with age and origin.
func (c *Cache[K, V]) Lookup(key K) (Result[V], bool) {
	now := c.now()
	v, ok := c.look(key, now)
	if !ok {
		return Result[V]{}, false
	}
	return c.found(v, now), true
}

func (c *Cache[K, V]) look(key K, now int64) (view[V], bool) {
	hash := c.table.hash(key)
	c.cfg.KeyLog.request(hash, now)
	v, ok := c.find(hash, key, now)
	if !ok {
		c.counters.misses.Add(1)
	}
	return v, ok
}

// Put stores a value as if it had been rendered now, and replaces what was there. If the key is being rendered, that
// render goes on for those who wait for it, and its result is not stored.
func (c *Cache[K, V]) Put(key K, value V) {
	weight := c.weigh(key, value)
	c.table.groupsOf(key) // host code: if it panics, then before a lock is held and anything is changed
	now, hash := c.now(), c.table.hash(key)
	e := &entry[K, V]{key: key, value: value, born: now, weight: weight}
	e.stamp.set(now, 0)
	e.turn(ready)

	s := c.table.shard(hash)
	s.mu.Lock()
	if c.closed.Load() || unfindable(key) {
		s.mu.Unlock()
		return
	}
	var gone removal[K, V]
	if old := s.index.find(hash, key); old != nil {
		gone = c.table.remove(s, old, EvictReplaced)
	}
	fits := c.fits(weight)
	if fits {
		c.table.insert(s, hash, e)
	}
	s.mu.Unlock()

	c.report(gone)
	if fits {
		c.cfg.KeyLog.stored(hash, now, weight)
		c.report(c.shrink(now, e)...)
	}
}

// Len returns the number of entries: values and remembered failures. Expired ones count until the clean-up; keys that
// are being rendered do not.
func (c *Cache[K, V]) Len() int { return int(c.table.entries.Load()) }

// Close stops the clean-up, cancels running renders, drops every entry, unregisters the metrics, and returns when all
// goroutines of the cache have ended. It may be called more than once and concurrently; each call returns when all is
// done. A render or a hook must not call it: it would wait for itself. Afterwards Render calls its function directly, Get
// finds nothing, and Put drops its value.
func (c *Cache[K, V]) Close() { c.closing.Do(c.shutdown) }

func (c *Cache[K, V]) shutdown() {
	c.closed.Store(true)
	c.stopSweeping()
	// Whoever adds to a shard looks at closed under the shard's lock first, so nothing follows this walk.
	for i := range c.table.shards {
		c.report(c.empty(&c.table.shards[i], EvictClosed)...)
	}
	c.work.End()
	c.work.Wait()
	c.sweeper.running.Wait()
	c.unregister()
}

// empty takes all entries out of a shard and, when the cache closes, cancels what is being rendered.
func (c *Cache[K, V]) empty(s *shard[K, V], why EvictCause) []removal[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why == EvictClosed {
		for f := range s.flights {
			f.cancel(ErrClosed)
		}
	}
	return c.removeAll(s, s.residents, why)
}

// view is what a lookup saw.
type view[V any] struct {
	value     V
	born      int64
	refreshed bool
	due       bool // for a refresh
}

// find is the hit path: one entry, no lock. That nothing is there is only true once it was seen under the lock.
func (c *Cache[K, V]) find(hash uint64, key K, now int64) (v view[V], ok bool) {
	s := c.table.shard(hash)
	if v, ok = c.use(s.index.find(hash, key), now); ok {
		return v, true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return c.use(s.index.find(hash, key), now)
}

// use records a hit if the entry has a value that lives.
func (c *Cache[K, V]) use(e *entry[K, V], now int64) (v view[V], ok bool) {
	if e == nil {
		return v, false
	}
	state := e.state()
	if !state.valued() || e.outlived(now, c.life) {
		return v, false
	}
	e.stamp.touch(now, c.life.Grain)
	c.counters.hits.add()
	return view[V]{value: e.value, born: e.born, refreshed: state == refreshed, due: c.due(e, now)}, true
}

func (c *Cache[K, V]) found(v view[V], now int64) Result[V] {
	r := Result[V]{Value: v.value, Origin: Hit, RenderedAt: c.start.Add(time.Duration(v.born)), Age: time.Duration(max(0, now-v.born))}
	if v.refreshed {
		r.Origin = Refreshed
	}
	return r
}

// weigh returns a value's weight, at least 1, and at most what any number of entries can be summed up of.
func (c *Cache[K, V]) weigh(key K, value V) int64 {
	if c.cfg.Weigh == nil {
		return 1
	}
	return min(max(1, c.cfg.Weigh(key, value)), c.heaviest)
}

// fits reports whether a value may be kept at all, and counts it when not.
func (c *Cache[K, V]) fits(weight int64) bool {
	if c.cfg.MaxWeight == 0 || weight <= c.cfg.MaxWeight {
		return true
	}
	c.counters.rejected.Add(1)
	return false
}

// around calls render without the cache, as after Close and by Noop.
func around[V any](ctx context.Context, render func(context.Context) (V, error)) (V, error) {
	value, err := render(ctx)
	if err != nil && !errors.Is(err, ErrNoStore) {
		var zero V
		return zero, err
	}
	return value, nil
}
