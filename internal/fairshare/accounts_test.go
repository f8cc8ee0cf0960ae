package fairshare_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/fairshare"
)

var begin = time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)

// sim plays callers, each of whom calls again as soon as its call has ended, in steps of a millisecond.
type sim struct {
	accounts *fairshare.Accounts[string]
	callers  []*caller
}

type caller struct {
	user  string
	took  func() time.Duration
	quiet time.Duration // between two calls
	call  *fairshare.Call[string]
	// begun is when the call began, asked when it came to wait, next when the next one comes.
	begun, asked, next time.Time
	used, longest      time.Duration
	calls              int
	runs               bool
	ends               time.Time
}

func (s *sim) run(d time.Duration) {
	for now := begin; now.Before(begin.Add(d)); now = now.Add(time.Millisecond) {
		for _, c := range s.callers {
			s.step(c, now)
		}
	}
}

func (s *sim) step(c *caller, now time.Time) {
	if c.runs && !now.Before(c.ends) {
		s.accounts.End(c.call, now)
		c.used += now.Sub(c.begun)
		c.call, c.runs, c.next = nil, false, now.Add(c.quiet)
	}
	if c.call == nil && !now.Before(c.next) {
		c.call, c.asked = s.accounts.Join(c.user, now), now
	}
	if c.call == nil || c.runs {
		return
	}
	if _, ok := s.accounts.Begin(c.call, now); ok {
		c.runs, c.begun, c.ends = true, now, now.Add(c.took())
		c.longest = max(c.longest, now.Sub(c.asked))
		c.calls++
	}
}

func fixed(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// Who is within its share never waits, however many others flood, and each who floods gets its share and starves nobody of its own.
func TestShares(t *testing.T) {
	t.Parallel()
	const d = 20 * time.Second
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		share := .2 + r.Float64()
		s := &sim{accounts: fairshare.NewAccounts[string](share)}
		modest := &caller{user: "modest", took: fixed(5 * time.Millisecond), quiet: 45 * time.Millisecond}
		s.callers = append(s.callers, modest)
		for range 1 + r.IntN(8) {
			s.callers = append(s.callers, &caller{user: "greedy", took: func() time.Duration { return time.Duration(1+r.IntN(20)) * time.Millisecond }})
		}
		s.run(d)
		if modest.longest > 0 {
			t.Fatalf("seed %d: who is within its share waited %s", seed, modest.longest)
		}
		var used time.Duration
		greedy := s.callers[1:]
		for _, c := range greedy {
			used += c.used
			if c.calls == 0 {
				t.Fatalf("seed %d: a call starves", seed)
			}
		}
		// At most the budget and the calls that are under way, beyond the share; and no less than it, if so many calls make it up.
		if most := time.Duration(share*float64(d)) + 200*time.Millisecond; used > most {
			t.Errorf("seed %d: %d callers used %s, share %.2f", seed, len(greedy), used, share)
		}
		if least := time.Duration(min(share, 1) * .75 * float64(d)); used < least {
			t.Errorf("seed %d: %d callers used only %s, share %.2f", seed, len(greedy), used, share)
		}
	}
}

// Nobody waits longer after a call than the longest pause, however long the call was.
func TestPauseIsBounded(t *testing.T) {
	t.Parallel()
	s := &sim{accounts: fairshare.NewAccounts[string](.1)}
	slow := &caller{user: "slow", took: fixed(5 * time.Second)}
	s.callers = []*caller{slow, {user: "other", took: fixed(time.Millisecond), quiet: 100 * time.Millisecond}}
	s.run(time.Minute)
	if slow.longest > 310*time.Millisecond || slow.longest < 290*time.Millisecond || slow.calls < 11 {
		t.Errorf("%d calls, one waited %s", slow.calls, slow.longest)
	}
}

// Who is alone is not held back, and is again not once the others have been quiet for a second.
func TestAlone(t *testing.T) {
	t.Parallel()
	s := &sim{accounts: fairshare.NewAccounts[string](.1)}
	for range 20 {
		s.callers = append(s.callers, &caller{user: "lone", took: fixed(10 * time.Millisecond)})
	}
	s.run(5 * time.Second)
	for _, c := range s.callers {
		if c.longest > 0 {
			t.Fatalf("who is alone waited %s", c.longest)
		}
	}
	now := begin.Add(5 * time.Second)
	s.accounts.Seen("other", now)
	if s.accounts.Alone("lone", now) || s.accounts.Alone("other", now) {
		t.Error("two are alone")
	}
	if later := now.Add(2 * time.Second); !s.accounts.Alone("lone", later) {
		t.Error("somebody is there who has long been quiet")
	}
}

// What did not wait in line counts, and its pause is bounded as well.
func TestSpend(t *testing.T) {
	t.Parallel()
	a := fairshare.NewAccounts[string](.5)
	a.Seen("other", begin)
	a.Spend("greedy", 90*time.Millisecond, begin)
	if d := a.Pause("greedy", begin); d != 0 {
		t.Errorf("within the budget: a pause of %s", d)
	}
	a.Spend("greedy", 20*time.Millisecond, begin)
	if d := a.Pause("greedy", begin); d < 20*time.Millisecond || d > 21*time.Millisecond {
		t.Errorf("10ms beyond a share of a half: a pause of %s, want 20ms", d)
	}
	a.Spend("greedy", time.Hour, begin)
	if d := a.Pause("greedy", begin); d < 299*time.Millisecond || d > 301*time.Millisecond {
		t.Errorf("far beyond: a pause of %s, want 300ms", d)
	}
	if d := a.Pause("other", begin); d != 0 {
		t.Errorf("who has spent nothing pauses %s", d)
	}
}

// Who was quiet has its whole budget, for however long that was, and however large the share.
func TestLongQuiet(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{.01, 1, 1000} {
		for _, quiet := range []time.Duration{time.Hour, 120 * 24 * time.Hour, 200 * 365 * 24 * time.Hour} {
			a := fairshare.NewAccounts[string](share)
			a.Seen("other", begin)
			a.Spend("quiet", 50*time.Millisecond, begin) // half of its budget
			now := begin.Add(quiet)
			a.Seen("quiet", now)
			a.Seen("other", now)
			if d := a.Pause("quiet", now); d != 0 {
				t.Errorf("share %v: after %v one waits for %v", share, quiet, d)
			}
		}
	}
}

// Who waits in line is there, however long ago it called: nobody else is alone meanwhile, and so it is not either.
func TestWhoWaitsIsThere(t *testing.T) {
	t.Parallel()
	a := fairshare.NewAccounts[string](.5)
	a.Seen("other", begin)
	var line []*fairshare.Call[string]
	for range 4 {
		line = append(line, a.Join("waits", begin))
	}
	for _, c := range line[:2] {
		if _, ok := a.Begin(c, begin); !ok {
			t.Fatal("no call may begin")
		}
	}
	later := begin
	for range 20 {
		later = later.Add(700 * time.Millisecond)
		a.Seen("other", later)
		if a.Alone("other", later) {
			t.Fatalf("alone %v after another has come to wait", later.Sub(begin))
		}
		if again, ok := a.Begin(line[2], later); ok || again > time.Second {
			t.Fatalf("a third call has begun: %v, or looks again after %v", ok, again)
		}
	}
	a.Leave(line[2])
	if a.Alone("other", later) {
		t.Error("alone beside one more that waits")
	}
	a.Leave(line[3])
	if !a.Alone("other", later) {
		t.Error("not alone when nobody waits any more")
	}
}
