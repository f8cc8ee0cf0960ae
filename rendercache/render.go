package rendercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// role says what a caller of obtain has to do after it looked at the table under the lock.
type role uint8

const (
	hitNow     role = iota // take the value
	failNow                // take the remembered failure
	bypass                 // nothing can be kept: call the function
	recurse                // the render asks for itself
	waitOwn                // wait for the render this call started
	waitShared             // wait for the render another call started
)

// resolution is what resolve found or started.
type resolution[K comparable, V any] struct {
	role   role
	view   view[V]
	entry  *entry[K, V]
	flight *flight[V]
	cause  MissCause
	gone   removal[K, V]
}

// obtain is Do after the first lookup has not simply hit.
func (c *Cache[K, V]) obtain(ctx context.Context, req Request[K, V], hash uint64, now int64) (Result[V], error) {
	if err := ctx.Err(); err != nil {
		if v, ok := c.find(hash, req.Key, now); ok {
			return c.found(v, now), nil
		}
		return c.fail(Result[V]{}, fmt.Errorf("rendercache: render: %w", err))
	}
	c.table.groupsOf(req.Key) // host code: if it panics, then before a lock is held and anything is changed
	t := c.resolve(ctx, req, hash, now)
	c.report(t.gone)
	switch t.role {
	case hitNow:
		return c.found(t.view, now), nil
	case failNow:
		c.counters.failureHits.Add(1)
		return c.fail(c.resultOf(t.flight, Remembered, now), t.flight.err)
	case bypass:
		return c.unkept(ctx, req.Render)
	case recurse:
		return c.fail(Result[V]{}, ErrRecursive)
	case waitOwn:
		miss := c.explain(req, hash, t.cause)
		r, err := c.await(ctx, t, hash, Rendered)
		r.Miss = miss
		return r, err
	default:
		return c.await(ctx, t, hash, Shared)
	}
}

// resolve looks again under the lock and chooses: the value that is there, the render that is running, or a new
// render. Nothing can come between the look and the start, which is why a key is never rendered twice at once.
func (c *Cache[K, V]) resolve(ctx context.Context, req Request[K, V], hash uint64, now int64) resolution[K, V] {
	s := c.table.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed.Load() || unfindable(req.Key) {
		return resolution[K, V]{role: bypass}
	}
	e := s.index.find(hash, req.Key)
	if v, ok := c.use(e, now); ok {
		return resolution[K, V]{role: hitNow, view: v}
	}
	switch {
	case e == nil:
		return c.renderNew(ctx, req, s, hash, c.table.recent.recall(hash))
	case e.state() == loading:
		return c.join(ctx, e)
	case !e.expired(now, c.life): // a failure
		e.stamp.touch(now, c.life.Grain) // for the eviction; a failure's life is its own
		return resolution[K, V]{role: failNow, flight: e.flight.Load()}
	case e.refreshing() && !e.flight.Load().within(ctx):
		waiting, gone := c.table.demote(s, e)
		t := c.join(ctx, waiting)
		t.gone = gone
		return t
	case e.refreshing():
		return resolution[K, V]{role: recurse}
	default:
		return c.renderNew(ctx, req, s, hash, MissExpired)
	}
}

// renderNew starts a render in place of whatever entry the key has. The shard's lock is held.
func (c *Cache[K, V]) renderNew(ctx context.Context, req Request[K, V], s *shard[K, V], hash uint64, cause MissCause) resolution[K, V] {
	t := resolution[K, V]{role: waitOwn, cause: max(cause, MissFirst)}
	if old := s.index.find(hash, req.Key); old != nil {
		t.gone = c.table.remove(s, old, EvictExpired)
	}
	t.entry = &entry[K, V]{key: req.Key}
	c.table.insert(s, hash, t.entry)
	t.flight = c.launch(ctx, req.Render, s, t.entry, c.slots.within(ctx))
	return t
}

// join waits along, unless the caller is part of the very work. The shard's lock is held.
func (c *Cache[K, V]) join(ctx context.Context, e *entry[K, V]) resolution[K, V] {
	f := e.flight.Load()
	if f.within(ctx) {
		return resolution[K, V]{role: recurse}
	}
	f.waiters++
	if c.slots.within(ctx) {
		c.slots.admit(&f.root.ticket)
	}
	return resolution[K, V]{role: waitShared, entry: e, flight: f}
}

// demote turns a value that expired under its refresh into a key being rendered: whoever comes waits for the render
// that is under way. The cache's own place among the waiters is given up in the same moment in which the caller, who
// holds the shard's lock, joins.
func (t *table[K, V]) demote(s *shard[K, V], e *entry[K, V]) (waiting *entry[K, V], gone removal[K, V]) {
	waiting = &entry[K, V]{key: e.key}
	waiting.stamp.set(e.stamp.get())
	waiting.flight.Store(e.flight.Load())
	waiting.flight.Load().waiters--
	gone = t.discount(e, EvictExpired)
	t.exchange(s, e, waiting)
	return waiting, gone
}

// launch runs a render for an entry, one that is free without a place of its own. The shard's lock is held.
func (c *Cache[K, V]) launch(ctx context.Context, render func(context.Context) (V, error), s *shard[K, V], e *entry[K, V], free bool) *flight[V] {
	f, ctx := newFlight[V](ctx)
	f.root.ticket = ticket{slots: c.slots, owner: c.table.groupsOf(e.key)[byOwner], free: free}
	e.flight.Store(f)
	s.flights[f] = struct{}{}
	c.counters.renders.Add(1)
	c.work.Start(func() {
		run(c.cfg.Logger,
			func() (outcome[V], error) { return c.attempt(ctx, &f.root.ticket, e.key, render) },
			func(o outcome[V], err error) { c.publish(s, e.key, f, o, err) })
	})
	return f
}

// outcome is a render's value and what is to become of it.
type outcome[V any] struct {
	value  V
	keep   bool
	weight int64
	life   time.Duration // of a failure
}

// attempt waits for a place, renders and judges. The callbacks of Config run in here, where a panic is caught.
func (c *Cache[K, V]) attempt(ctx context.Context, place *ticket, key K, render func(context.Context) (V, error)) (o outcome[V], err error) {
	if err := c.slots.acquire(ctx, place); err != nil {
		return o, closedError(ctx, err)
	}
	defer c.slots.release(place)
	value, err := c.timed(ctx, render)
	switch {
	case errors.Is(err, ErrNoStore):
		return outcome[V]{value: value}, nil
	case err == nil:
		weight := c.weigh(key, value)
		return outcome[V]{value: value, weight: weight, keep: c.fits(weight)}, nil
	case c.cfg.ErrorTTL != nil && !isContextError(err):
		return outcome[V]{life: c.cfg.ErrorTTL(err)}, err
	default:
		return o, closedError(ctx, err)
	}
}

// timed renders and observes how long it took, whatever the render does.
func (c *Cache[K, V]) timed(ctx context.Context, render func(context.Context) (V, error)) (value V, err error) {
	c.counters.running.Add(1)
	defer c.counters.running.Add(-1)
	if c.metrics == nil {
		return render(ctx)
	}
	began, ok := c.now(), false
	defer func() { observe(c.metrics.duration, time.Duration(c.now()-began), ok) }()
	value, err = render(ctx)
	ok = err == nil || errors.Is(err, ErrNoStore)
	return value, err
}

// publish stores what a render returned, as far as it is to be kept, and releases its waiters. They are released after the table is within its limits again and what left
// it is counted, so that a caller who has its value sees no more than the limit; the hook does not keep them waiting.
func (c *Cache[K, V]) publish(s *shard[K, V], key K, f *flight[V], o outcome[V], err error) {
	now, hash := c.now(), c.table.hash(key)
	s.mu.Lock()
	f.running = false
	f.value, f.err, f.ended = o.value, err, now
	delete(s.flights, f)
	stored, gone := c.settle(s, s.index.find(hash, key), f, o)
	s.mu.Unlock()
	f.cancel(nil)

	evicted := c.shrink(now, stored)
	if stored != nil {
		c.cfg.KeyLog.stored(hash, now, o.weight)
	}
	c.count(gone)
	c.count(evicted...)
	close(f.done)
	c.notify(gone)
	c.notify(evicted...)
}

// settle writes the outcome into the key's entry, if the table has one still that belongs to this very render. What was
// invalidated, replaced or abandoned meanwhile has not. It returns the entry with the value, if it is stored, and which
// one it replaced. The shard's lock is held.
func (c *Cache[K, V]) settle(s *shard[K, V], e *entry[K, V], f *flight[V], o outcome[V]) (stored *entry[K, V], gone removal[K, V]) {
	if e == nil || e.flight.Load() != f {
		return nil, gone
	}
	switch {
	case o.keep && e.state() == loading:
		c.table.fill(e, o, f.ended, ready)
		return e, gone
	case o.keep:
		return c.table.renew(s, e, o, f.ended)
	case e.state().valued():
		// A refresh that brought nothing: the old value stays, and its next try waits from now on.
		e.flight.Store(&flight[V]{ended: f.ended, again: after(f.ended, c.cfg.RefreshAfter)})
	case o.life > 0:
		// A flight of its own, without the context of the caller who started the render.
		e.flight.Store(&flight[V]{err: f.err, ended: f.ended, until: after(f.ended, o.life)})
		e.born, e.weight = f.ended, 1
		e.stamp.set(f.ended, 0)
		e.turn(failed)
		c.table.count(e)
	default:
		c.table.remove(s, e, evictUnkept)
	}
	return nil, gone
}

// fill stores a rendered value in an entry that has none.
func (t *table[K, V]) fill(e *entry[K, V], o outcome[V], now int64, as state) {
	_, hits := e.stamp.get()
	e.stamp.set(now, hits)
	e.value, e.weight, e.born = o.value, o.weight, now
	e.flight.Store(nil)
	e.turn(as)
	t.count(e)
}

// renew puts a new entry with the refreshed value in the place of the old one, and returns both. The old one leaves the
// totals first: the two together could pass a limit, and somebody else would evict for it.
func (t *table[K, V]) renew(s *shard[K, V], old *entry[K, V], o outcome[V], now int64) (e *entry[K, V], gone removal[K, V]) {
	e = &entry[K, V]{key: old.key}
	e.stamp.set(old.stamp.get())
	gone = t.discount(old, EvictReplaced)
	t.fill(e, o, now, refreshed)
	t.exchange(s, old, e)
	return e, gone
}

// await waits for a flight and gives it up when ctx ends first.
func (c *Cache[K, V]) await(ctx context.Context, t resolution[K, V], hash uint64, origin Origin) (Result[V], error) {
	if !t.flight.wait(ctx) {
		c.abandon(hash, t)
		return c.fail(Result[V]{Origin: origin}, fmt.Errorf("rendercache: wait for render: %w", ctx.Err()))
	}
	r := c.resultOf(t.flight, origin, t.flight.ended)
	if t.flight.err != nil {
		return c.fail(r, t.flight.err)
	}
	if origin == Shared {
		c.counters.shared.Add(1)
	} else {
		c.counters.misses.Add(1)
	}
	return r, nil
}

// abandon takes a waiter away. The entry of a render that nobody wants leaves the table in the same step in which
// the render is told to stop, so the next caller starts afresh instead of sharing the cancellation.
func (c *Cache[K, V]) abandon(hash uint64, t resolution[K, V]) {
	s := c.table.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.flight.leave() && s.holds(t.entry) && t.entry.flight.Load() == t.flight {
		c.table.remove(s, t.entry, evictUnkept)
	}
}

func (c *Cache[K, V]) resultOf(f *flight[V], origin Origin, now int64) Result[V] {
	return Result[V]{
		Value: f.value, Origin: origin,
		RenderedAt: c.start.Add(time.Duration(f.ended)), Age: time.Duration(max(0, now-f.ended)),
	}
}

func (c *Cache[K, V]) fail(r Result[V], err error) (Result[V], error) {
	c.counters.errors.Add(1)
	return r, err
}

// unkept renders around the table.
func (c *Cache[K, V]) unkept(ctx context.Context, render func(context.Context) (V, error)) (Result[V], error) {
	value, err := around(ctx, render)
	now := c.now()
	return Result[V]{Value: value, RenderedAt: c.start.Add(time.Duration(now))}, err
}

// explain finds out and records why there was a miss.
func (c *Cache[K, V]) explain(req Request[K, V], hash uint64, cause MissCause) Miss {
	miss := Miss{Cause: cause}
	if c.cfg.Groups != nil {
		id := c.table.groupsOf(req.Key)
		similar, names := c.samples.record(id[byVersion], id[byOwner], hash, req.Params)
		if similar && cause == MissFirst {
			miss = Miss{Cause: MissParameters, Names: names}
		}
	}
	c.counters.causes[miss.Cause].Add(1)
	if l := c.cfg.Logger; l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("render cache miss", slog.String("cause", miss.Cause.String()), slog.Any("parameters", miss.Names))
	}
	return miss
}
