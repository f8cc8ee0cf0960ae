package prewarm_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

func TestReplayOfAFixedSize(t *testing.T) {
	claims := []time.Time{t0.Add(-time.Hour), t0.Add(10 * time.Minute), t0.Add(10 * time.Minute), t0.Add(30 * time.Minute), t0.Add(2 * time.Hour)}
	spec := pool(1)
	spec.HitRate = -1
	o, err := prewarm.Replay(prewarm.Trace{
		Claims: claims, From: t0, To: t0.Add(time.Hour), Build: 5 * time.Minute, Spec: func(time.Time) prewarm.Spec { return spec },
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of the two at once one is a hit. The member is idle from 5 to 10, from 15 to 30, and from 35 to 60 minutes.
	want := prewarm.Outcome{Claims: 3, Hits: 2, Wait: 5 * time.Minute, Idle: 45 * time.Minute, Built: 4}
	if o != want {
		t.Errorf("%+v, want %+v", o, want)
	}
}

func TestReplayReachesTheHitRateItIsSizedFor(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var claims []time.Time
	for at := t0; at.Before(t0.Add(200 * time.Hour)); {
		at = at.Add(time.Duration(random.ExpFloat64() * float64(time.Minute)))
		claims = append(claims, at)
	}
	f := &prewarm.Forecast{}
	for h := range f.PerHour {
		f.PerHour[h] = 60
	}
	for _, rate := range []float64{0.8, 0.95} {
		spec := pool(0)
		spec.Ceiling, spec.HitRate, spec.Demand.Forecast = 50, rate, f
		o, err := prewarm.Replay(prewarm.Trace{
			Claims: claims, From: t0, To: t0.Add(200 * time.Hour), Build: 3 * time.Minute, Spec: func(time.Time) prewarm.Spec { return spec },
		})
		if err != nil {
			t.Fatal(err)
		}
		if o.HitRate() < rate-0.01 {
			t.Errorf("sized for %v, %v found a member: %+v", rate, o.HitRate(), o)
		}
	}
}

func TestReplayRefusesBadInput(t *testing.T) {
	spec := func(time.Time) prewarm.Spec { return pool(1) }
	for name, trace := range map[string]prewarm.Trace{
		"Trace.Spec":   {From: t0, To: t0.Add(1)},
		"Trace.To":     {From: t0, To: t0, Spec: spec},
		"Trace.Build":  {From: t0, To: t0.Add(1), Build: -1, Spec: spec},
		"Trace.Window": {From: t0, To: t0.Add(1), Window: -1, Spec: spec},
		"Trace.Step":   {From: t0, To: t0.Add(1), Step: -1, Spec: spec},
	} {
		if _, err := prewarm.Replay(trace); field(err) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
