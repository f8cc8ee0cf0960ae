package forecast_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// Of people of whom few weeks are known, and who come at other hours each time, a band of 80 % holds about 80 % of the hours,
// and one of 50 % about 50 %. (The draws alone hold some 65 %, because they take each of the few weeks for a habit.)
func TestBandsHoldWhatTheySay(t *testing.T) {
	if raced {
		t.Skip("arithmetic of one goroutine")
	}
	const people, weeks, ahead = 300, 10, 2
	for _, band := range []float64{0.8, 0.5} {
		within, hours := 0, 0
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 3))
			until := monday.AddDate(0, 0, 7*ahead)
			fleet, pasts := team(people, func(int) []forecast.Session {
				var all []forecast.Session
				for week := -weeks; week < ahead; week++ {
					if r.IntN(3) > 0 {
						continue
					}
					begin := monday.AddDate(0, 0, 7*week+r.IntN(5)).Add(time.Duration(r.IntN(12*60)) * time.Minute)
					all = append(all, forecast.Session{Begin: begin, End: begin.Add(2 * time.Hour)})
				}
				return all
			})
			var members []forecast.Member
			for i := range fleet {
				members = append(members, forecast.Member{Snapshot: fleet[i], Sessions: pasts[i].Sessions})
			}
			actual := must(forecast.Simulate(slices.Values(members), monday, until, nil, forecast.SimulateConfig{}))
			o := must(forecast.Forecast(slices.Values(fleet), learn(monday, pasts), monday, until, forecast.ForecastConfig{Band: band, Seed: seed}))
			for i, h := range o.Hours {
				if h.Running.Mean < 1 {
					continue
				}
				hours++
				if v := actual.Results[0].ByHour[i].Running; h.Running.Low <= v && v <= h.Running.High {
					within++
				}
			}
		}
		got := float64(within) / float64(hours)
		t.Logf("%.0f %% of %d hours in the band of %.0f %%", 100*got, hours, 100*band)
		if got < band-0.045 || got > band+0.045 || hours < 500 {
			t.Errorf("%.0f %% of %d hours are in the band of %.0f %%", 100*got, hours, 100*band)
		}
	}
}
