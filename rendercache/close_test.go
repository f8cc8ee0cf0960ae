package rendercache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

func TestCloseIsRepeatableAndWithoutUse(t *testing.T) {
	c, err := rendercache.New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(c.Close)
	}
	wg.Wait()
	c.Close()
}

func TestCloseCancelsAndAwaitsRenders(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		ended := false
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Render(t.Context(), keyN(1), func(ctx context.Context) (string, error) {
				<-ctx.Done()
				time.Sleep(time.Second) // tidies up
				ended = true
				return "", ctx.Err()
			})
			if !errors.Is(err, rendercache.ErrClosed) || !errors.Is(err, context.Canceled) {
				t.Errorf("Render: %v, want ErrClosed and context.Canceled", err)
			}
		})
		synctest.Wait()
		c.Close()
		if !ended {
			t.Error("Close returned before the render had ended")
		}
		wg.Wait()
	})
}

// An invalidated render is out of the table, yet must not outlive Close.
func TestCloseAwaitsInvalidatedRenders(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, c *Cache) {
		ended := false
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = c.Render(t.Context(), keyN(1), func(ctx context.Context) (string, error) {
				<-ctx.Done()
				ended = true
				return "", ctx.Err()
			})
		})
		synctest.Wait()
		c.Invalidate(keyN(1))
		c.Close()
		wantEqual(t, "ended", ended, true)
		wg.Wait()
	})
}

func TestUseAfterClose(t *testing.T) {
	c := newCache(t, Config{})
	c.Put(keyN(1), "old")
	c.Close()
	wantLen(t, c, 0)
	c.Put(keyN(1), "v")
	wantMiss(t, c, keyN(1))
	calls := 0
	for range 2 {
		mustRender(t, c, keyN(1), returns("v", &calls))
	}
	wantEqual(t, "renders", calls, 2)
	wantLen(t, c, 0)
	if v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { return "half", rendercache.ErrNoStore }); v != "half" || err != nil {
		t.Errorf("incomplete: %q, %v", v, err)
	}
	if v, err := c.Render(t.Context(), keyN(1), func(context.Context) (string, error) { return "x", errBroken }); v != "" || !errors.Is(err, errBroken) {
		t.Errorf("failing: %q, %v", v, err)
	}
}

func TestNoopRemembersNothing(t *testing.T) {
	var m rendercache.Memo[Key, string] = rendercache.Noop[Key, string]{}
	m.Put(keyN(1), "v")
	if _, ok := m.Get(keyN(1)); ok {
		t.Error("Get found something")
	}
	calls := 0
	for range 2 {
		if v, err := m.Render(t.Context(), keyN(1), returns("v", &calls)); v != "v" || err != nil {
			t.Errorf("Render = %q, %v", v, err)
		}
	}
	wantEqual(t, "renders", calls, 2)
	m.Close()
	m.Close()
}
