package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// eachRandom calls check with many snapshots. A failure names the seed, and onlySeed repeats it alone.
func eachRandom(t *testing.T, n uint64, check func(t *testing.T, r random, s lifecycle.Snapshot)) {
	t.Helper()
	for seed := range n {
		r := seeded(seed)
		check(t, r, r.snapshot())
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// checkWake checks that nothing acts from now until the wake, and something at the wake.
func checkWake(t *testing.T, r random, s lifecycle.Snapshot, now, wake time.Time) {
	t.Helper()
	for _, m := range r.moments(s, now, wake) {
		if d := lifecycle.Decide(s, m); d.Acts() {
			t.Fatalf("at %v: %s, but the wake is %v\n%v", m, words(d), wake, lifecycle.Explain(s, now))
		}
	}
	if d := lifecycle.Decide(s, wake); !wake.IsZero() && !d.Acts() && d.Err == nil {
		t.Fatalf("nothing acts at the wake %v\n%v", wake, lifecycle.Explain(s, now))
	}
}

func TestNextWakeIsTheFirstActingInstant(t *testing.T) {
	t.Parallel()
	eachRandom(t, 6_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.set()
		wake := lifecycle.NextWake(s, now)
		if !wake.IsZero() && wake.Before(now) {
			t.Fatalf("wake %v before now %v", wake, now)
		}
		checkWake(t, r, s, now, wake)
		// Asked in between, the answer is the same.
		for _, m := range r.moments(s, now, wake) {
			if again := lifecycle.NextWake(s, m); !again.Equal(wake) && lifecycle.Decide(s, m).Err == nil {
				t.Fatalf("asked at %v the wake is %v, at %v it is %v", now, wake, m, again)
			}
		}
	})
}

// Whatever happens to a workspace, its stored wake is not later than the first instant at which a rule acts.
func TestVerbsKeepTheWake(t *testing.T) {
	t.Parallel()
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.set()
		s = apply(s, lifecycle.Rearm(s, now))
		for range 6 {
			c, err := r.verb(s)(s, now)
			if err != nil {
				continue
			}
			s = apply(s, c)
			wake := s.Workspace.WakeAt
			if real := lifecycle.NextWake(s, now); !real.IsZero() && (wake.IsZero() || wake.After(real)) {
				t.Fatalf("the verb left the wake at %v, the first rule acts at %v\n%v", wake, real, lifecycle.Explain(s, now))
			}
			now = now.Add(pick[time.Duration](r, 0, us, time.Hour, 5*time.Hour))
		}
	})
}

// What is decided is done once: the change takes away what it was made for, and after a few steps, with jobs that end at
// once, nothing more is due at the same instant.
func TestDecideIsIdempotent(t *testing.T) {
	t.Parallel()
	eachRandom(t, 10_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.set().Add(pick[time.Duration](r, 0, 0, 1, 999))
		var steps []string
		for d := lifecycle.Decide(s, now); d.Acts(); d = lifecycle.Decide(s, now) {
			if steps = append(steps, words(d)); len(steps) > 5 {
				t.Fatalf("no end of it at %v: %q\n%v", now, steps, lifecycle.Explain(s, now))
			}
			c := lifecycle.Apply(s, d, now)
			s = apply(s, c)
			if again := lifecycle.Decide(s, now); again.Rule == d.Rule && (!d.Missed || again.Missed) {
				t.Fatalf("at %v %s is due twice\n%v", now, words(d), lifecycle.Explain(s, now))
			}
			checkChange(t, c, now)
			if s.Build.Status.Active() {
				s = finish(t, s, now, lifecycle.JobSucceeded)
			}
		}
	})
}

// checkChange checks what every change keeps.
func checkChange(t *testing.T, c lifecycle.Change, now time.Time) {
	t.Helper()
	b := &c.Build
	if !b.MaxDeadline.IsZero() && (b.Deadline.IsZero() || b.Deadline.After(b.MaxDeadline)) {
		t.Fatalf("deadline %v, max %v", b.Deadline, b.MaxDeadline)
	}
	keys := map[string]bool{}
	for _, e := range c.Events {
		if keys[e.Key()] || e.At.IsZero() || e.At.After(now) || e.Revision != c.Revision {
			t.Fatalf("event %+v, key used %t", e, keys[e.Key()])
		}
		keys[e.Key()] = true
	}
	w := &c.Workspace
	for _, at := range []time.Time{
		w.WakeAt, w.AutostartAfter, w.LastUsedAt, w.DormantAt, w.DeletingAt, w.Hold.Until, w.RemindedFor, w.AttentionAt,
		w.Backoff.Until, b.CreatedAt, b.CompletedAt, b.Deadline, b.MaxDeadline,
	} {
		if !at.Equal(at.Truncate(us)) || at.Location() != time.UTC {
			t.Fatalf("%v is not in the form that is stored", at)
		}
	}
}

func TestExplainAgrees(t *testing.T) {
	t.Parallel()
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		checkExplained(t, s, r.set())
	})
}

// The random snapshots are worth something only if every rule acts on some of them.
func TestRandomReachesEveryRule(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(3000) {
		r := seeded(seed)
		s, now := r.snapshot(), r.set()
		seen[words(lifecycle.Decide(s, now))]++
		seen[words(lifecycle.Decide(s, lifecycle.NextWake(s, now)))]++
	}
	for _, want := range []string{
		"nothing", "autostop: stop", "autostart: start", "autostart: missed", "failed_cleanup: stop", "dormancy: dormant",
		"dormancy: stop, dormant", "autodelete: delete", "extend", "reminder", "delete_reminder", "start_retry: start",
	} {
		if seen[want] < 10 {
			t.Errorf("%s: %d times of 6000", want, seen[want])
		}
	}
}
