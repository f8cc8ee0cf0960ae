package prewarm_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

func TestSizeIsTheLargestOfWhatAsksForIt(t *testing.T) {
	working := []prewarm.Window{
		{Start: weekly(t, "0 9 * * 1-5"), Length: 9 * time.Hour, Size: 6},
		{Start: weekly(t, "30 8 * * 1"), Length: time.Hour, Size: 8},
	}
	at := func(hour, minute int) time.Time { return time.Date(2026, 3, 2, hour, minute, 0, 0, time.UTC) }
	tests := []struct {
		name string
		spec prewarm.Spec
		now  time.Time
		want int
	}{
		{"nothing", prewarm.Spec{Name: "p", Version: "v"}, t0, 0},
		{"floor", prewarm.Spec{Floor: 3}, t0, 3},
		{"reserves", prewarm.Spec{Floor: 1, Reserves: map[string]int{"a": 1, "b": 3}}, t0, 4},
		{"before a window", prewarm.Spec{Windows: working}, at(8, 29), 0},
		{"a window opens", prewarm.Spec{Windows: working}, at(8, 30), 8},
		{"of two windows the larger counts", prewarm.Spec{Windows: working}, at(9, 29), 8},
		{"the longer one is left", prewarm.Spec{Windows: working}, at(9, 30), 6},
		{"until its end", prewarm.Spec{Windows: working}, at(17, 59), 6},
		{"after", prewarm.Spec{Windows: working}, at(18, 0), 0},
		{
			"ready by the opening",
			prewarm.Spec{Windows: working, Demand: prewarm.Demand{BuildTime: 5 * time.Minute}},
			at(8, 25), 8,
		},
		{
			"not earlier",
			prewarm.Spec{Windows: working, Demand: prewarm.Demand{BuildTime: 5 * time.Minute}},
			at(8, 24), 0,
		},
		{"waiting", prewarm.Spec{Floor: 2, Ceiling: 5, Demand: prewarm.Demand{Waiting: 2}}, t0, 4},
		{"the ceiling", prewarm.Spec{Floor: 2, Ceiling: 5, Demand: prewarm.Demand{Waiting: 20}}, t0, 5},
		{
			"demand",
			prewarm.Spec{Ceiling: 50, Demand: prewarm.Demand{PerHour: 60, BuildTime: 2 * time.Minute}},
			t0,
			// Two claims while one is built: 0 to 4 of them are 94.7 % of the cases, 0 to 5 are 98.3 %.
			6,
		},
		{
			"demand does not count",
			prewarm.Spec{Ceiling: 50, HitRate: -1, Demand: prewarm.Demand{PerHour: 60, BuildTime: 2 * time.Minute}},
			t0, 0,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := prewarm.Size(test.spec, test.now); got.Size != test.want {
				t.Errorf("%v, want %d", got, test.want)
			}
		})
	}
}

// The formula is held against a simulation of what it assumes: claims at random, and one replacement for each.
func TestHitRateIsThatOfASimulation(t *testing.T) {
	const perHour, build, claims = 120.0, 90 * time.Second, 200_000
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 3, 5, 8} {
		now, hits := 0.0, 0
		var ready []float64 // when each replacement is ready
		for range claims {
			now += random.ExpFloat64() / perHour
			building := 0
			for _, at := range ready {
				if at > now {
					building++
				}
			}
			if building < size {
				hits++
			}
			ready = append(ready[max(0, len(ready)-30):], now+build.Hours())
		}
		got, want := prewarm.HitRateOf(size, perHour, build), float64(hits)/claims
		if got < want-0.01 || got > want+0.01 {
			t.Errorf("size %d: computed %.3f, simulated %.3f", size, got, want)
		}
	}
}

func TestSizeForReachesItsHitRateAndIsSmallest(t *testing.T) {
	for _, perHour := range []float64{0.01, 1, 30, 1000, 30_000, 90_000, 1e6} {
		for _, rate := range []float64{0.1, 0.5, 0.9, 0.95, 0.999} {
			const build = 2 * time.Minute
			n := prewarm.SizeFor(perHour, build, rate)
			// The normal distribution of large numbers is off by one at most.
			slack := 0
			if perHour > 30_000 {
				slack = 1
			}
			if got := prewarm.HitRateOf(n+slack, perHour, build); got < rate {
				t.Errorf("%v an hour: %d members serve %v, want %v", perHour, n, got, rate)
			}
			if got := prewarm.HitRateOf(n-1-slack, perHour, build); got >= rate {
				t.Errorf("%v an hour: %d members would serve %v, want less than %v", perHour, n-1, got, rate)
			}
		}
	}
	if n := prewarm.SizeFor(0, time.Minute, 0.99); n != 0 {
		t.Errorf("no claims need %d members", n)
	}
	if got := prewarm.HitRateOf(3, 0, time.Minute); got != 1 {
		t.Errorf("of no claims %v are served, want all", got)
	}
	if n := prewarm.SizeFor(60, time.Minute, 0); n != 0 {
		t.Errorf("a hit rate of zero needs %d members", n)
	}
	if n := prewarm.SizeFor(1e300, time.Hour, 1); n <= 0 {
		t.Errorf("a rate without sense gives %d", n)
	}
}

func TestCeilingThatIsReachedIsNoCap(t *testing.T) {
	spec := prewarm.Spec{Floor: 2, Ceiling: 3, Demand: prewarm.Demand{Waiting: 1}}
	if got := prewarm.Size(spec, t0); got.Capped {
		t.Errorf("%v", got)
	}
	spec.Demand.Waiting = 2
	if got := prewarm.Size(spec, t0); !got.Capped {
		t.Errorf("%v", got)
	}
}

func TestMembersAreKeptAfterDemand(t *testing.T) {
	spec := pool(2)
	spec.Demand.Recent = 3
	if got := prewarm.Size(spec, t0); got.Size != 2 || got.Keep != 5 {
		t.Errorf("%v", got)
	}
	if got := short(prewarm.Plan(spec, with(7, prewarm.Ready).members, prewarm.Failures{}, t0).Actions); got != "destroy excess x2" {
		t.Errorf("planned %q", got)
	}
	var state prewarm.PoolState
	state, ok := state.Ask(3, time.Minute, t0)
	if !ok || state.Recent(t0.Add(59*time.Second)) != 3 || state.Recent(t0.Add(time.Minute)) != 0 {
		t.Errorf("asked for 3: %+v", state)
	}
	for _, test := range []struct {
		extra int
		after time.Duration
		write bool
	}{
		{0, 0, false}, {2, 0, false}, {3, 0, false}, {3, 31 * time.Second, true}, {2, 31 * time.Second, false}, {4, 0, true}, {1, time.Minute, true},
	} {
		if _, write := state.Ask(test.extra, time.Minute, t0.Add(test.after)); write != test.write {
			t.Errorf("asking for %d after %v is written: %v", test.extra, test.after, write)
		}
	}
}

func TestTrafficHoldsForACoolDown(t *testing.T) {
	traffic := prewarm.Traffic{Window: 10 * time.Minute}
	traffic.Count(20, t0)
	for _, test := range []struct {
		after time.Duration
		want  float64
	}{
		{0, 120}, {9 * time.Minute, 120}, {19 * time.Minute, 120}, {20 * time.Minute, 0}, {40 * time.Hour, 0},
	} {
		if got := traffic.PerHour(t0.Add(test.after)); got != test.want {
			t.Errorf("after %v: %v an hour, want %v", test.after, got, test.want)
		}
	}
	var none prewarm.Traffic
	if got := none.PerHour(t0); got != 0 {
		t.Errorf("without a window: %v", got)
	}
}

func TestForecastLearnsTheWeekAndFavoursTheLatest(t *testing.T) {
	now := time.Date(2026, 3, 16, 0, 0, 0, 0, time.UTC) // a Monday
	var claims []time.Time
	for range 8 {
		claims = append(claims, now.AddDate(0, 0, -7).Add(9*time.Hour+time.Minute))
	}
	claims = append(claims, now.AddDate(0, 0, -14).Add(9*time.Hour), now.AddDate(0, 0, -70), now.Add(time.Hour))
	f, err := prewarm.Learn(claims, 2, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.At(now.Add(9*time.Hour+30*time.Minute)), 8*2/3.0+1/3.0; got < want-1e-9 || got > want+1e-9 {
		t.Errorf("Monday 9:30: %v an hour, want %v", got, want)
	}
	if got := f.At(now.Add(10 * time.Hour)); got != 0 {
		t.Errorf("Monday 10:00: %v an hour, want 0", got)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	if f, _ = prewarm.Learn(claims, 2, now, berlin); f.At(now.Add(9*time.Hour)) == 0 || f.PerHour[10] == 0 {
		t.Error("the hours are not those of the zone")
	}
	if _, err := prewarm.Learn(nil, 0, now, nil); field(err) != "weeks" {
		t.Errorf("no weeks: %v", err)
	}
}

func TestAdviseSaysWhatASizeGivesAndCosts(t *testing.T) {
	f := &prewarm.Forecast{}
	f.PerHour[9] = 60
	advice := prewarm.Advise(f, 2*time.Minute, 0.95)
	if len(advice) != 168 || advice[0].Size != 0 || advice[0].Idle != 0 {
		t.Errorf("Monday 0:00: %+v", advice[0])
	}
	if a := advice[9]; a.Hour != 9 || a.Size != 6 || a.HitRate < 0.95 || a.Idle != 4 {
		t.Errorf("Monday 9:00: %+v", a)
	}
}

func TestFailuresPauseAndForget(t *testing.T) {
	retry := prewarm.Retry{Initial: time.Second, Max: 5 * time.Second}
	var f prewarm.Failures
	if !f.Until(retry).IsZero() || f.Open(retry) {
		t.Error("no failure, and yet a pause")
	}
	for n, want := range []time.Duration{1, 2, 4, 5, 5} {
		f = fails(f, "v1", "no", t0)
		if got := f.Until(retry).Sub(t0); got != want*time.Second {
			t.Errorf("after %d failures: %v", n+1, got)
		}
		if f.Open(retry) != (n >= 2) {
			t.Errorf("after %d failures the breaker is open: %v", n+1, f.Open(retry))
		}
	}
	together := f.Failed("v1", "no answer", t0.Add(-time.Second), t0.Add(time.Second))
	if together.Count != f.Count || !together.At.Equal(f.At) || together.Message != "no answer" {
		t.Errorf("an attempt that was under way at the last failure counts: %+v", together)
	}
	if g := f.Succeeded("v0"); g != f {
		t.Error("a success of another version counted")
	}
	if g := fails(f, "v2", "no", t0); g.Count != 1 {
		t.Error("failures of another version counted")
	}
	if g := f.Succeeded("v1"); g != (prewarm.Failures{}) {
		t.Error("a success did not count")
	}
}
