package rendercache_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// TestMain fails when a goroutine of the package outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines in this package's code, TestMain's apart. One that is just ending gets the
// chance to.
func leaked() string {
	var left []string
	for range 10_000 {
		left = left[:0]
		buf := make([]byte, 1<<20)
		for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "dormouse/rendercache") && !strings.Contains(stack, "TestMain") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		runtime.Gosched()
	}
	return strings.Join(left, "\n\n")
}

type (
	Key    = rendercache.Key
	Config = rendercache.Config[Key, string]
	Cache  = rendercache.Cache[Key, string]
)

var (
	version = uuid.MustParse("00000000-0000-0000-0000-0000000000a1")
	owner   = uuid.MustParse("00000000-0000-0000-0000-0000000000b1")
	other   = uuid.MustParse("00000000-0000-0000-0000-0000000000b2")
)

// keyN returns one of many keys of the same version and owner.
func keyN(n int) Key {
	return rendercache.KeyOf(version, owner, map[string]string{"n": fmt.Sprint(n)})
}

func mockClock(t *testing.T) *quartz.Mock {
	t.Helper()
	return quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
}

func newCache(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c, err := rendercache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// advance moves the mock clock, firing the clean-ups on the way.
func advance(t *testing.T, clock *quartz.Mock, d time.Duration) {
	t.Helper()
	for d > 0 {
		step := d
		if next, ok := clock.Peek(); ok {
			step = min(d, next)
		}
		clock.Advance(step).MustWait(t.Context())
		d -= step
	}
}

// returns is a render that succeeds and counts itself.
func returns(value string, calls *int) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		*calls++
		return value, nil
	}
}

func mustRender(t *testing.T, c *Cache, key Key, render func(context.Context) (string, error)) string {
	t.Helper()
	v, err := c.Render(t.Context(), key, render)
	if err != nil {
		t.Fatalf("Render: %v", err)
	}
	return v
}

func wantHit(t *testing.T, c *Cache, key Key, want string) {
	t.Helper()
	if got, ok := c.Get(key); !ok || got != want {
		t.Fatalf("Get = %q, %v: want a hit with %q", got, ok, want)
	}
}

func wantMiss(t *testing.T, c *Cache, key Key) {
	t.Helper()
	if got, ok := c.Get(key); ok {
		t.Fatalf("Get = %q, true: want a miss", got)
	}
}

func wantLen(t *testing.T, c *Cache, want int) {
	t.Helper()
	if got := c.Len(); got != want {
		t.Fatalf("Len = %d, want %d", got, want)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
