package prewarm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/prewarmtest"
)

// news collects the events of pools.
type news struct {
	mu     sync.Mutex
	events []prewarm.PoolEvent
}

func (h *news) hear(e prewarm.PoolEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// take returns what was heard since it was last called, in words.
func (h *news) take() (words []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		words = append(words, fmt.Sprintf("%s %s|%s|%s|%s", e.Kind, e.Pool, e.Version, e.By, e.Text))
	}
	h.events = nil
	return words
}

func (h *news) want(t *testing.T, when string, words ...string) {
	t.Helper()
	if got := h.take(); !slices.Equal(got, words) {
		t.Errorf("%s: told\n\t%q\nwant\n\t%q", when, got, words)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Who pauses a pool and resumes it is told once, by the process that did it.
func TestPauseIsTold(t *testing.T) {
	var h news
	bubble(t, 2, func(r *rig) { r.cfg.Events = h.hear }, func(r *rig) {
		second := r.another()
		defer run(t, second)()
		ctx := context.Background()
		h.want(t, "in peace")
		must(t, r.pool.Pause(ctx, "ann"))
		must(t, second.Pause(ctx, "ann"))
		r.wait(time.Minute)
		h.want(t, "paused twice", "pool.paused go-dev|v1|ann|")
		must(t, second.Pause(ctx, "bob"))
		must(t, second.Resume(ctx))
		must(t, r.pool.Resume(ctx))
		r.wait(time.Minute)
		h.want(t, "paused by somebody else, and resumed", "pool.paused go-dev|v1|bob|", "pool.resumed go-dev|v1||")
	})
}

// The breaker tells when it opens, with what the backend said, and when it closes; of two replicas one does.
func TestBreakerIsTold(t *testing.T) {
	var h news
	bubble(t, 2, func(r *rig) {
		r.cfg.Events = h.hear
		r.cfg.Spec.Retry = prewarm.Retry{Initial: 5 * time.Second, Max: 20 * time.Second, Threshold: 2}
	}, func(r *rig) {
		defer run(t, r.another())()
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = errors.New("no room") })
		r.claim(prewarm.Request{})
		r.wait(3 * time.Minute)
		h.want(t, "failing for long", "pool.breaker_opened go-dev|v1||prewarm: create: no room")
		must(t, r.pool.Resume(context.Background()))
		r.wait(time.Second)
		h.want(t, "resumed by hand", "pool.breaker_closed go-dev|v1||")
		r.wait(time.Minute)
		h.want(t, "failing still", "pool.breaker_opened go-dev|v1||prewarm: create: no room")
		r.backend.Set(func(k *prewarmtest.Knobs) { k.CreateErr = nil })
		r.wait(3 * time.Minute)
		h.want(t, "when it works again", "pool.breaker_closed go-dev|v1||")
	})
}

// A pool that is depleted tells so once, and when it is reloaded, and when it is over.
func TestAlertIsTold(t *testing.T) {
	var h news
	bubble(t, 4, func(r *rig) {
		r.cfg.Events = h.hear
		r.cfg.AlertBelow, r.cfg.AlertAfter, r.cfg.Relist = 0.5, time.Minute, 100*time.Hour
	}, func(r *rig) {
		h.want(t, "when it was filled", "pool.alert go-dev|v1||0 of 4 ready", "pool.alert_over go-dev|v1||")
		r.backend.Set(func(k *prewarmtest.Knobs) { k.NeverReady = true })
		for range 3 {
			r.claim(prewarm.Request{})
			r.wait(time.Second)
		}
		h.want(t, "depleted", "pool.alert go-dev|v1||1 of 4 ready")
		r.wait(2 * time.Minute)
		h.want(t, "for a while", "pool.reloaded go-dev|v1||")
		r.backend.Set(func(k *prewarmtest.Knobs) { k.NeverReady = false })
		r.wait(20 * time.Minute)
		if words := h.take(); !slices.Contains(words, "pool.alert_over go-dev|v1||") {
			t.Errorf("filled again: %q", words)
		}
	})
}

// Another spec is told with what is different, the same one is not; what was before Run is told when it begins.
func TestSpecIsTold(t *testing.T) {
	var h news
	bubble(t, 1, func(r *rig) { r.cfg.Events = h.hear }, func(r *rig) {
		spec := r.cfg.Spec
		must(t, r.pool.SetSpec(spec))
		r.wait(time.Second)
		h.want(t, "the same spec")
		spec.Floor, spec.Version = 2, "v2"
		must(t, r.pool.SetSpec(spec))
		r.wait(time.Second)
		h.want(t, "another", "pool.spec_changed go-dev|v2||Version, Floor")
		for range 2 {
			must(t, r.pool.SetSpec(prewarm.Spec{Name: spec.Name, Err: errors.New("no such template")}))
		}
		r.wait(time.Second)
		h.want(t, "none", "pool.spec_changed go-dev|v2||cannot be read: no such template")
		if err := r.pool.SetSpec(prewarm.Spec{Name: spec.Name, Version: "v3", Floor: -1}); err == nil {
			t.Error("a negative floor is accepted")
		}
		late := r.another()
		must(t, late.SetSpec(spec))
		r.wait(time.Second)
		h.want(t, "before it runs")
		stop := run(t, late)
		r.wait(time.Second)
		h.want(t, "when it runs", "pool.spec_changed go-dev|v2||Version, Floor")
		must(t, r.pool.Pause(context.Background(), "ann"))
		stop()
		r.stop()
		h.want(t, "at the end", "pool.paused go-dev|v2|ann|")
	})
}

// A text that a store could not keep would fail every claim of its batch: it is refused before.
func TestTextsThatNoStoreKeeps(t *testing.T) {
	bubble(t, 3, nil, func(r *rig) {
		for want, q := range map[string]prewarm.Request{
			"Request.Owner":  {Owner: "a\x00b"},
			"Request.Tenant": {Owner: "ann", Tenant: "a\xffb"},
			"Request.Key":    {Owner: "ann", Key: "k\x00"},
		} {
			if _, err := r.pool.Claim(context.Background(), q); want != field(err) {
				t.Errorf("%s: %v", want, err)
			}
		}
		if _, err := r.pool.ExplainClaim(context.Background(), "ann", "\x01"); field(err) != "key" {
			t.Errorf("the key of a look-up: %v", err)
		}
		r.want(3, prewarm.Ready)
	})
	for want, change := range map[string]func(s *prewarm.Spec){
		"Spec.Name":     func(s *prewarm.Spec) { s.Name = "\xff" },
		"Spec.Version":  func(s *prewarm.Spec) { s.Version = "v\xff" },
		"Spec.Reserves": func(s *prewarm.Spec) { s.Reserves = map[string]int{"\x00": 1} },
	} {
		s := pool(2)
		change(&s)
		if err := s.Validate(); field(err) != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A pool of the freshest hands out the member that became ready last.
func TestFreshestFirst(t *testing.T) {
	bubble(t, 3, func(r *rig) { r.cfg.Spec.Freshest = true }, func(r *rig) {
		first := r.claim(prewarm.Request{})
		r.wait(time.Minute) // another one is ready
		members := r.members(prewarm.Ready)
		newest := slices.MaxFunc(members, func(a, b prewarm.Member) int { return a.ReadyAt.Compare(b.ReadyAt) })
		second := r.claim(prewarm.Request{})
		if second.Member.ID != newest.ID || !second.Member.ReadyAt.After(first.Member.ReadyAt) {
			t.Errorf("ready at %v, the newest at %v", second.Member.ReadyAt, newest.ReadyAt)
		}
		spec := r.cfg.Spec
		spec.Freshest = false
		must(t, r.pool.SetSpec(spec))
		r.wait(time.Minute)
		third := r.claim(prewarm.Request{})
		if !third.Member.ReadyAt.Before(newest.ReadyAt) {
			t.Errorf("the longest ready: ready at %v", third.Member.ReadyAt)
		}
	})
}
