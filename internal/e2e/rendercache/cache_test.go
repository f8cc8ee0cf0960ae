package rendercache_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// machine is the real cache beside its model.
type machine struct {
	t       *testing.T
	cache   *rendercache.Cache[rendercache.Key, value]
	model   *model
	calls   int
	cancels map[int]context.CancelFunc
	renders map[int]*running
	got     chan result
	done    map[int]answer
}

// running is a real render, which does what it is told to.
type running struct {
	ctx  context.Context
	tell chan outcome
}

type result struct {
	call   int
	answer answer
}

// TestCacheBehavesLikeItsModel is the test of the cache: loads, cancels, invalidations, expiries, refreshes, failures,
// panics and Close, in any order.
func TestCacheBehavesLikeItsModel(t *testing.T) {
	check(t, func(t *testing.T, rt *rapid.T) {
		m := newMachine(t, rt)
		defer m.leave()
		rt.Repeat(map[string]func(*rapid.T){
			"render":     m.render,
			"render too": m.render, // twice as often
			"finish":     m.finish,
			"cancel":     m.cancel,
			"get":        m.get,
			"put":        m.put,
			"invalidate": m.invalidate,
			"pass":       m.pass,
			"":           m.compare,
		})
		m.close(rt)
	})
}

func newMachine(t *testing.T, rt *rapid.T) *machine {
	s := settings{
		ttl:          rapid.SampledFrom([]time.Duration{20 * time.Second, time.Minute, time.Hour}).Draw(rt, "ttl"),
		maxAge:       rapid.SampledFrom([]time.Duration{0, 12 * time.Second, 90 * time.Second}).Draw(rt, "max age"),
		errorTTL:     rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second}).Draw(rt, "error ttl"),
		refreshAfter: rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(rt, "refresh after"),
		cleanup:      time.Minute,
	}
	c, err := rendercache.New(rendercache.Config[rendercache.Key, value]{
		TTL: s.ttl, MaxAge: s.maxAge, RefreshAfter: s.refreshAfter, CleanupInterval: s.cleanup,
		ErrorTTL: func(err error) time.Duration {
			if errors.Is(err, errFirm) {
				return s.errorTTL
			}
			return 0
		},
	})
	if err != nil {
		rt.Fatal(err)
	}
	return &machine{
		t: t, cache: c, model: newModel(s), cancels: map[int]context.CancelFunc{}, renders: map[int]*running{},
		got: make(chan result, 1000), done: map[int]answer{},
	}
}

func anyKey(rt *rapid.T) key {
	return rapid.SampledFrom([]key{{0, 0, 0}, {0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}}).Draw(rt, "key")
}

// render starts a call and lets it come as far as it can.
func (m *machine) render(rt *rapid.T) {
	k := anyKey(rt)
	m.calls++
	call := m.calls
	m.model.render(k, call)
	ctx, cancel := context.WithCancel(m.t.Context())
	m.cancels[call] = cancel
	go func() {
		v, err := m.cache.Render(ctx, k.key(), m.perform(k, call))
		m.got <- result{call, answer{v, err}}
	}()
	synctest.Wait()
}

// perform is a render that waits to be told what to do. It does not care for its context: what it brings late must be
// dropped.
func (m *machine) perform(k key, call int) func(context.Context) (value, error) {
	return func(ctx context.Context) (value, error) {
		r := &running{ctx: ctx, tell: make(chan outcome)}
		m.renders[call] = r // the test waits for all goroutines before it looks
		switch v := (value{k, call}); <-r.tell {
		case succeeds:
			return v, nil
		case incomplete:
			return v, rendercache.ErrNoStore
		case fails:
			return v, errPlain
		case failsFirm:
			return v, errFirm
		case gaveUp:
			return v, context.Canceled
		case panics:
			panic("model")
		default:
			runtime.Goexit()
			return v, nil
		}
	}
}

func (m *machine) finish(rt *rapid.T) {
	f := anyOf(rt, m.model.flights)
	o := rapid.SampledFrom(outcomes).Draw(rt, "outcome")
	m.end(f, o)
}

func (m *machine) end(f *flight, o outcome) {
	m.model.finish(f, o)
	if r := m.renders[f.number]; r != nil {
		delete(m.renders, f.number)
		r.tell <- o
	}
	synctest.Wait()
}

func (m *machine) cancel(rt *rapid.T) {
	anyOf(rt, m.model.waiting) // skips when nobody waits
	call := rapid.SampledFrom(slices.Sorted(maps.Keys(m.model.waiting))).Draw(rt, "call")
	m.model.cancel(call)
	m.cancels[call]()
	synctest.Wait()
}

func (m *machine) get(rt *rapid.T) {
	k := anyKey(rt)
	v, ok := m.cache.Get(k.key())
	expected, found := m.model.get(k)
	want(rt, "found", ok, found)
	want(rt, "value", v, expected)
}

func (m *machine) put(rt *rapid.T) {
	k := anyKey(rt)
	m.calls++
	v := value{k, m.calls}
	m.model.put(k, v)
	m.cache.Put(k.key(), v)
	synctest.Wait()
}

func (m *machine) invalidate(rt *rapid.T) {
	k := anyKey(rt)
	switch kind := rapid.SampledFrom([]string{"key", "version", "owner", "all"}).Draw(rt, "kind"); kind {
	case "key":
		want(rt, "there", m.cache.Invalidate(k.key()), m.model.invalidate(func(other key) bool { return other == k }) == 1)
	case "version":
		want(rt, "invalidated", m.cache.InvalidateVersion(k.key().Version), m.model.invalidate(func(other key) bool { return other.version == k.version }))
	case "owner":
		want(rt, "invalidated", m.cache.InvalidateOwner(k.key().Owner), m.model.invalidate(func(other key) bool { return other.owner == k.owner }))
	default:
		m.cache.Clear()
		m.model.invalidate(func(key) bool { return true })
	}
	synctest.Wait()
}

func (m *machine) pass(rt *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		time.Second, 9 * time.Second, 10 * time.Second, 11 * time.Second, 20 * time.Second, 21 * time.Second, time.Minute, 2 * time.Minute,
	}).Draw(rt, "time")
	m.model.pass(d)
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

// compare checks all that can be seen from outside.
func (m *machine) compare(rt *rapid.T) {
	m.receive()
	want(rt, "number of calls that have ended", len(m.done), len(m.model.answers))
	for call, a := range m.done {
		expected := m.model.answers[call]
		want(rt, "value", a.value, expected.value)
		if !sameError(a.err, expected.err) {
			rt.Fatalf("call %d got the error %q, the model says %q", call, text(a.err), text(expected.err))
		}
	}
	want(rt, "number of renders", len(m.renders), len(m.model.flights))
	for number, f := range m.model.flights {
		r := m.renders[number]
		if r == nil {
			rt.Fatalf("the render of call %d does not run", number)
		}
		if cause := context.Cause(r.ctx); !errors.Is(cause, f.stopped) || (cause == nil) != (f.stopped == nil) {
			rt.Fatalf("the render of call %d is stopped by %v, the model says %v", number, cause, f.stopped)
		}
	}
	m.compareStats(rt)
}

func (m *machine) compareStats(rt *rapid.T) {
	s := m.cache.Stats()
	want(rt, "Len", m.cache.Len(), m.model.len())
	want(rt, "weight", s.Weight, int64(m.model.len()))
	want(rt, "running", s.Running, len(m.model.flights))
	if all := s.Hits + s.Misses + s.Shared + s.Errors; all < uint64(len(m.done)) && !m.model.closed {
		rt.Fatalf("%d requests are counted, %d calls have ended", all, len(m.done))
	}
}

func (m *machine) receive() {
	for {
		select {
		case r := <-m.got:
			m.done[r.call] = r.answer
		default:
			return
		}
	}
}

// close closes the cache with whatever is under way, and uses it after.
func (m *machine) close(rt *rapid.T) {
	closed := make(chan struct{})
	go func() { m.cache.Close(); close(closed) }()
	synctest.Wait()
	m.model.close()
	m.compare(rt)
	for _, f := range byNumber(m.model.flights) {
		select {
		case <-closed:
			rt.Fatalf("Close returned while the render of call %d was running", f.number)
		default:
		}
		m.end(f, succeeds)
	}
	<-closed
	m.compare(rt)
	k := anyKey(rt)
	m.cache.Put(k.key(), value{k, -1})
	v, err := m.cache.Render(m.t.Context(), k.key(), func(context.Context) (value, error) { return value{k, -2}, nil })
	want(rt, "value after Close", v, value{k, -2})
	want(rt, "error after Close", text(err), "")
	want(rt, "Len after Close", m.cache.Len(), 0)
}

// leave ends whatever a failed case has left, so that its bubble can end.
func (m *machine) leave() {
	for _, cancel := range m.cancels {
		cancel()
	}
	for _, r := range m.renders {
		r.tell <- succeeds
	}
	m.cache.Close()
}

func anyOf(rt *rapid.T, flights map[int]*flight) *flight {
	if len(flights) == 0 {
		rt.Skip("nothing is under way")
	}
	return rapid.SampledFrom(byNumber(flights)).Draw(rt, "flight")
}

// byNumber makes the choice of a case repeatable.
func byNumber(flights map[int]*flight) []*flight {
	return slices.SortedFunc(maps.Values(flights), func(a, b *flight) int { return cmp.Compare(a.number, b.number) })
}

func sameError(got, expected error) bool {
	var a, b *rendercache.PanicError
	if errors.As(expected, &b) {
		return errors.As(got, &a) && a.Value == b.Value && strings.Contains(string(a.Stack), "perform")
	}
	return errors.Is(got, expected) && (got == nil) == (expected == nil)
}
