package rendercache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

type (
	Handles       = rendercache.Handles[string, *file]
	HandlesConfig = rendercache.HandlesConfig[string, *file]
)

// file stands for the files of a template version.
type file struct{ id string }

func newHandles(t *testing.T, cfg HandlesConfig) *Handles {
	t.Helper()
	l, err := rendercache.NewHandles(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// handlesInBubble is inBubble for handles.
func handlesInBubble(t *testing.T, cfg HandlesConfig, f func(t *testing.T, l *Handles)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := rendercache.NewHandles(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f(t, l)
	})
}

func fetches(id string) func(context.Context) (*file, error) {
	return func(context.Context) (*file, error) { return &file{id}, nil }
}

func mustAcquire(t *testing.T, l *Handles, id string) *rendercache.Handle[*file] {
	t.Helper()
	handle, err := l.Acquire(t.Context(), id, fetches(id))
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func wantHeld(t *testing.T, l *Handles, values, references int) {
	t.Helper()
	if s := l.Stats(); s.Values != values || s.References != references {
		t.Errorf("%d values and %d references held, want %d and %d", s.Values, s.References, values, references)
	}
}

func TestHandleLivesAsLongAsItIsHeld(t *testing.T) {
	var released []string
	l := newHandles(t, HandlesConfig{OnRelease: func(id string, f *file) { released = append(released, id+f.id) }})
	one, two := mustAcquire(t, l, "a"), mustAcquire(t, l, "a")
	if one.Value() != two.Value() {
		t.Error("two holders have two objects")
	}
	wantHeld(t, l, 1, 2)
	one.Release()
	one.Release() // counts once
	wantHeld(t, l, 1, 1)
	wantEqual(t, "released", len(released), 0)
	two.Release()
	wantHeld(t, l, 0, 0)
	wantEqual(t, "released", fmt.Sprint(released), "[aa]")
	three := mustAcquire(t, l, "a") // no keep-warm
	if three.Value() == one.Value() {
		t.Error("a released value came back")
	}
	three.Release()
	s := l.Stats()
	wantEqual(t, "fetched", s.Misses, 2)
	wantEqual(t, "hits", s.Hits, 1)
}

func TestThousandFilesTenCallersEach(t *testing.T) {
	var calls, released atomic.Int32
	l := newHandles(t, HandlesConfig{OnRelease: func(string, *file) { released.Add(1) }})
	var got, done sync.WaitGroup
	got.Add(10_000)
	for i := range 1_000 {
		id := fmt.Sprint(i)
		for range 10 {
			done.Go(func() {
				handle, err := l.Acquire(t.Context(), id, func(context.Context) (*file, error) { calls.Add(1); return &file{id}, nil })
				got.Done()
				if err != nil || handle.Value().id != id {
					t.Errorf("Acquire(%s): %v", id, err)
					return
				}
				got.Wait() // all are held at once
				handle.Release()
			})
		}
	}
	done.Wait()
	wantEqual(t, "fetches", calls.Load(), 1_000)
	wantEqual(t, "released", released.Load(), 1_000)
	wantHeld(t, l, 0, 0)
}

func TestFirstAcquirerCanceledOrRefusedDoesNotAffectOthers(t *testing.T) {
	type tag struct{}
	denied := errors.New("not yours")
	cfg := HandlesConfig{Check: func(ctx context.Context, id string, f *file) error {
		if ctx.Value(tag{}) != nil {
			return denied
		}
		return nil
	}}
	handlesInBubble(t, cfg, func(t *testing.T, l *Handles) {
		var calls atomic.Int32
		slow := func(context.Context) (*file, error) { calls.Add(1); time.Sleep(time.Second); return &file{"a"}, nil }
		canceled, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Acquire(canceled, "a", slow); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := l.Acquire(context.WithValue(t.Context(), tag{}, true), "a", slow); !errors.Is(err, denied) {
				t.Errorf("refused: %v", err)
			}
		})
		wg.Go(func() {
			handle, err := l.Acquire(t.Context(), "a", slow)
			if err != nil {
				t.Errorf("third: %v", err)
				return
			}
			wantEqual(t, "value", handle.Value().id, "a")
			handle.Release()
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		wantEqual(t, "fetches", calls.Load(), 1)
		wantHeld(t, l, 0, 0)
	})
}

func TestFailedFetchReachesAllAndIsNotKept(t *testing.T) {
	for what, fetch := range map[string]func() (*file, error){
		"error":  func() (*file, error) { return &file{"ignored"}, errBroken },
		"panic":  func() (*file, error) { panic(errBroken) },
		"goexit": func() (*file, error) { runtime.Goexit(); return nil, nil },
	} {
		t.Run(what, func(t *testing.T) {
			cfg := HandlesConfig{OnRelease: func(string, *file) { t.Error("released what was never held") }}
			handlesInBubble(t, cfg, func(t *testing.T, l *Handles) {
				var calls atomic.Int32
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						handle, err := l.Acquire(t.Context(), "a", func(context.Context) (*file, error) {
							calls.Add(1)
							time.Sleep(time.Second)
							return fetch()
						})
						if handle != nil || !errors.Is(err, errBroken) && !errors.Is(err, rendercache.ErrGoexit) {
							t.Errorf("Acquire = %v, %v", handle, err)
						}
					})
				}
				wg.Wait()
				wantEqual(t, "fetches", calls.Load(), 1)
				wantEqual(t, "errors", l.Stats().Errors, 5)
				wantHeld(t, l, 0, 0)
				good, err := l.Acquire(t.Context(), "a", func(context.Context) (*file, error) { return &file{"a"}, nil })
				if err != nil {
					t.Fatalf("after the failure: %v", err)
				}
				wantHeld(t, l, 1, 1)
				_ = good // OnRelease is for the others; Close lets a held handle stay
			})
		})
	}
}

// A fetch that nobody waits for is told to stop; what it brings all the same is handed to OnRelease, since it may hold
// something that must be closed.
func TestAbandonedFetch(t *testing.T) {
	released := 0
	cfg := HandlesConfig{OnRelease: func(string, *file) { released++ }}
	handlesInBubble(t, cfg, func(t *testing.T, l *Handles) {
		var cause error
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Acquire(ctx, "a", func(ctx context.Context) (*file, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return &file{"late"}, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire: %v", err)
		}
		handle := mustAcquire(t, l, "a") // starts afresh
		wantEqual(t, "value", handle.Value().id, "a")
		synctest.Wait()
		if !errors.Is(cause, rendercache.ErrAbandoned) {
			t.Errorf("the fetch's cause is %v, want ErrAbandoned", cause)
		}
		wantEqual(t, "released", released, 1)
		wantHeld(t, l, 1, 1)
		handle.Release()
		wantEqual(t, "released", released, 2)
	})
}

func TestFetchThatAsksForItself(t *testing.T) {
	l := newHandles(t, HandlesConfig{})
	_, err := l.Acquire(t.Context(), "a", func(ctx context.Context) (*file, error) {
		handle, err := l.Acquire(ctx, "a", fetches("a"))
		if err == nil {
			handle.Release()
		}
		return nil, err
	})
	if !errors.Is(err, rendercache.ErrRecursive) {
		t.Errorf("Acquire: %v, want ErrRecursive", err)
	}
}

func TestPanicOfACheckGivesTheReferenceBack(t *testing.T) {
	l := newHandles(t, HandlesConfig{Check: func(context.Context, string, *file) error { panic("check") }})
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Acquire(t.Context(), "a", fetches("a"))
		t.Error("the panic was swallowed")
	}()
	wantHeld(t, l, 0, 0)
}

func TestKeyThatDiffersFromItself(t *testing.T) {
	l, err := rendercache.NewHandles(rendercache.HandlesConfig[float64, int]{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Acquire(t.Context(), math.NaN(), func(context.Context) (int, error) { return 1, nil }); err == nil {
		t.Error("a value was kept under NaN")
	}
	c, err := rendercache.New(rendercache.Config[float64, int]{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Put(math.NaN(), 1)
	v, err := c.Render(t.Context(), math.NaN(), func(context.Context) (int, error) { return 2, nil })
	if v != 2 || err != nil || c.Len() != 0 {
		t.Errorf("Render = %d, %v with %d entries: want it rendered and not kept", v, err, c.Len())
	}
}

func TestHandlesClose(t *testing.T) {
	released := 0
	cfg := HandlesConfig{OnRelease: func(string, *file) { released++ }}
	handlesInBubble(t, cfg, func(t *testing.T, l *Handles) {
		held := mustAcquire(t, l, "held")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := l.Acquire(t.Context(), "slow", func(ctx context.Context) (*file, error) { <-ctx.Done(); return nil, ctx.Err() })
			if !errors.Is(err, rendercache.ErrClosed) {
				t.Errorf("Acquire during Close: %v, want ErrClosed", err)
			}
		})
		synctest.Wait()
		l.Close()
		l.Close()
		wg.Wait()
		if _, err := l.Acquire(t.Context(), "held", fetches("held")); !errors.Is(err, rendercache.ErrClosed) {
			t.Errorf("Acquire after Close: %v, want ErrClosed", err)
		}
		wantEqual(t, "held value", held.Value().id, "held") // stays good
		held.Release()
		wantEqual(t, "released", released, 1)
		wantHeld(t, l, 0, 0)
	})
}

func TestHolderReleasesAllTogether(t *testing.T) {
	l := newHandles(t, HandlesConfig{})
	h := l.NewHolder()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprint(i % 4)
			if f, err := h.Acquire(t.Context(), id, fetches(id)); err != nil || f.id != id {
				t.Errorf("Acquire(%s) = %v, %v", id, f, err)
			}
		})
	}
	wg.Wait()
	wantHeld(t, l, 4, 4) // a key is held once
	_, err := h.Acquire(t.Context(), "bad", func(context.Context) (*file, error) { return nil, errBroken })
	if !errors.Is(err, errBroken) {
		t.Errorf("Acquire: %v", err)
	}
	h.Close()
	h.Close()
	wantHeld(t, l, 0, 0)
	if _, err := h.Acquire(t.Context(), "a", fetches("a")); !errors.Is(err, rendercache.ErrClosed) {
		t.Errorf("Acquire after Close: %v, want ErrClosed", err)
	}
}

// A holder that is closed while a fetch runs must not keep what the fetch brings.
func TestHolderClosedDuringAFetch(t *testing.T) {
	handlesInBubble(t, HandlesConfig{}, func(t *testing.T, l *Handles) {
		h := l.NewHolder()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Acquire(t.Context(), "a", func(context.Context) (*file, error) { time.Sleep(time.Second); return &file{"a"}, nil })
			if !errors.Is(err, rendercache.ErrClosed) {
				t.Errorf("Acquire: %v, want ErrClosed", err)
			}
		})
		synctest.Wait()
		h.Close()
		wg.Wait()
		wantHeld(t, l, 0, 0)
	})
}

// Groups of jobs that overlap, fail, are canceled and panic: everything is given back.
func TestHandlesUnderLoad(t *testing.T) {
	var open atomic.Int64
	l := newHandles(t, HandlesConfig{OnRelease: func(string, *file) { open.Add(-1) }})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2_000 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == g%7 {
					go cancel()
				}
				handle, err := l.Acquire(ctx, fmt.Sprint(i%3), func(context.Context) (*file, error) {
					if i%11 == 0 {
						return nil, errBroken
					}
					open.Add(1)
					return &file{}, nil
				})
				if err == nil {
					if i%2 == 0 {
						runtime.Gosched()
					}
					handle.Release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	l.Close()
	wantEqual(t, "open", open.Load(), 0)
	wantHeld(t, l, 0, 0)
	wantEqual(t, "size", l.Stats().Size, 0)
}
