package rendercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

type Request = rendercache.Request[Key, string]

// ask renders the key of the parameters and returns why it was missed.
func ask(t *testing.T, c *Cache, owner uuid.UUID, params map[string]string) rendercache.Miss {
	t.Helper()
	r, err := c.Do(t.Context(), Request{
		Key: rendercache.KeyOf(version, owner, params), Params: params,
		Render: func(context.Context) (string, error) { return "v", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Miss
}

func TestMissSaysWhy(t *testing.T) {
	params := map[string]string{"cpu": "4"}
	key := rendercache.KeyOf(version, owner, params)
	for _, test := range []struct {
		want   rendercache.MissCause
		before func(t *testing.T, c *Cache)
	}{
		{rendercache.MissFirst, func(*testing.T, *Cache) {}},
		{rendercache.MissNone, func(_ *testing.T, c *Cache) { c.Put(key, "v") }},
		{rendercache.MissInvalidated, func(_ *testing.T, c *Cache) { c.Put(key, "v"); c.Invalidate(key) }},
		{rendercache.MissInvalidated, func(_ *testing.T, c *Cache) { c.Put(key, "v"); c.InvalidateVersion(version) }},
		{rendercache.MissInvalidated, func(_ *testing.T, c *Cache) { c.Put(key, "v"); c.InvalidateOwner(owner) }},
		{rendercache.MissInvalidated, func(_ *testing.T, c *Cache) { c.Put(key, "v"); c.Clear() }},
		{rendercache.MissEvicted, func(_ *testing.T, c *Cache) {
			c.Put(key, "v")
			c.Put(keyN(1), "v")
		}},
		{rendercache.MissExpired, func(_ *testing.T, c *Cache) { c.Put(key, "v"); time.Sleep(time.Hour + 1) }},
		{rendercache.MissExpired, func(_ *testing.T, c *Cache) { c.Put(key, "v"); time.Sleep(2 * time.Hour) }}, // cleaned up
		{rendercache.MissNotKept, func(t *testing.T, c *Cache) {
			_, _ = c.Render(t.Context(), key, func(context.Context) (string, error) { return "", errBroken })
		}},
		{rendercache.MissNotKept, func(t *testing.T, c *Cache) {
			_, _ = c.Render(t.Context(), key, func(context.Context) (string, error) { return "half", rendercache.ErrNoStore })
		}},
		{rendercache.MissParameters, func(t *testing.T, c *Cache) { ask(t, c, owner, map[string]string{"cpu": "8"}) }},
		{rendercache.MissFirst, func(t *testing.T, c *Cache) { ask(t, c, other, map[string]string{"cpu": "8"}) }},
	} {
		inBubble(t, Config{MaxEntries: 1}, func(t *testing.T, c *Cache) {
			test.before(t, c)
			synctest.Wait()
			before := c.Stats().Causes[test.want]
			wantEqual(t, "cause", ask(t, c, owner, params).Cause, test.want)
			if test.want != rendercache.MissNone {
				wantEqual(t, "counted "+test.want.String(), c.Stats().Causes[test.want]-before, 1)
			}
		})
	}
}

func TestMissNamesTheParametersThatDiffer(t *testing.T) {
	c := newCache(t, Config{})
	ask(t, c, owner, map[string]string{"cpu": "4", "region": "eu", "zone": "a"})
	ask(t, c, other, map[string]string{"cpu": "1"}) // another owner's does not count
	miss := ask(t, c, owner, map[string]string{"cpu": "4", "region": "us", "token": "secret-1"})
	wantEqual(t, "cause", miss.Cause, rendercache.MissParameters)
	if want := []string{"region", "token", "zone"}; !slices.Equal(miss.Names, want) {
		t.Errorf("names %q, want %q", miss.Names, want)
	}
	// Without parameters it is still known that they differ.
	r, err := c.Do(t.Context(), Request{Key: keyN(1), Render: func(context.Context) (string, error) { return "v", nil }})
	if err != nil || r.Miss.Cause != rendercache.MissParameters || r.Miss.Names != nil {
		t.Errorf("Do = %+v, %v: want a miss by parameters without names", r, err)
	}
}

// A deployment with more misses than expected switches the log to Debug and sees which parameter differs between
// builds.
func TestMissIsLoggedWithNamesWithoutValues(t *testing.T) {
	var logged bytes.Buffer
	c := newCache(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ask(t, c, owner, map[string]string{"token": "hunter1"})
	ask(t, c, owner, map[string]string{"token": "hunter2"})
	if got := logged.String(); !strings.Contains(got, "cause=parameters") || !strings.Contains(got, "[token]") {
		t.Errorf("log %q does not name the parameter", got)
	}
	if strings.Contains(logged.String(), "hunter") {
		t.Errorf("log %q has a value in it", logged.String())
	}
}

func TestManyVersionsDoNotGrowTheSamples(t *testing.T) {
	c := newCache(t, Config{MaxEntries: 1})
	params := map[string]string{"cpu": "4"}
	for i := range 2_000 {
		v := uuid.UUID{0: 1, 1: byte(i), 2: byte(i >> 8)}
		if _, err := c.Do(t.Context(), Request{
			Key: rendercache.KeyOf(v, owner, params), Params: params,
			Render: func(context.Context) (string, error) { return "v", nil },
		}); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "first ones", c.Stats().Causes[rendercache.MissFirst], 2_000)
}

func TestResultHasAgeAndOrigin(t *testing.T) {
	clock := mockClock(t)
	c := newCache(t, Config{Clock: clock, ErrorTTL: func(error) time.Duration { return time.Hour }})
	began := clock.Now()
	req := Request{Key: keyN(1), Render: func(context.Context) (string, error) { return "v", nil }}
	r, err := c.Do(t.Context(), req)
	if err != nil || r.Origin != rendercache.Rendered || !r.RenderedAt.Equal(began) || r.Age != 0 {
		t.Errorf("first: %+v, %v", r, err)
	}
	wantEqual(t, "text", r.String(), "rendered just now")
	advance(t, clock, 12*time.Minute)
	r, err = c.Do(t.Context(), req)
	if err != nil || r.Origin != rendercache.Hit || !r.RenderedAt.Equal(began) || r.Age != 12*time.Minute {
		t.Errorf("second: %+v, %v", r, err)
	}
	wantEqual(t, "text", r.String(), "rendered 12 minutes ago, hit")
	if r, ok := c.Lookup(keyN(1)); !ok || r.Age != 12*time.Minute || r.Value != "v" {
		t.Errorf("Lookup = %+v, %v", r, ok)
	}

	fails := Request{Key: keyN(2), Render: func(context.Context) (string, error) { return "", errBroken }}
	_, _ = c.Do(t.Context(), fails)
	advance(t, clock, time.Minute)
	r, err = c.Do(t.Context(), fails)
	if !errors.Is(err, errBroken) || r.Origin != rendercache.Remembered || r.Age != time.Minute {
		t.Errorf("remembered: %+v, %v", r, err)
	}
}

func TestResultTextForAges(t *testing.T) {
	for age, want := range map[time.Duration]string{
		0: "just now", time.Second: "1 second ago", 59 * time.Second: "59 seconds ago", time.Minute: "1 minute ago",
		119 * time.Minute: "1 hour ago", 47 * time.Hour: "1 day ago", 72 * time.Hour: "3 days ago",
	} {
		wantEqual(t, fmt.Sprint(age), rendercache.Result[int]{Age: age, Origin: rendercache.Shared}.String(), "rendered "+want+", shared")
	}
}

func TestEnumsOutOfRangeHaveAName(t *testing.T) {
	wantEqual(t, "origin", rendercache.Origin(200).String(), "unknown(200)")
	wantEqual(t, "miss", rendercache.MissCause(200).String(), "unknown(200)")
	wantEqual(t, "evict", rendercache.EvictCause(200).String(), "unknown(200)")
}
