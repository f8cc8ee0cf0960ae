package forecast

import (
	"math"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// hoursBetween counts whole hours.
func hoursBetween(from, until time.Time) int { return int(until.Sub(from) / time.Hour) }

// replay is what the fleet does with the activity that was recorded.
func replay(members []forecast.Member) ([]float64, error) {
	s, err := simulateAll(members)
	if err != nil {
		return nil, err
	}
	var running []float64
	for _, h := range s.Results[0].ByHour {
		running = append(running, h.Running)
	}
	return running, nil
}

func simulateAll(members []forecast.Member) (forecast.Simulation, error) {
	return forecast.Simulate(slices.Values(members), begins, ends, nil, forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: builds}})
}

// state is the fleet as a store would have it at an instant: every workspace that was made by then and is not gone.
func state(members []forecast.Member, at time.Time) ([]lifecycle.Snapshot, error) {
	var all []lifecycle.Snapshot
	for _, m := range members {
		a := forecast.Assumptions{Build: builds, Work: forecast.Recorded(m.Sessions)}
		for s, born := m.Snapshot, m.Snapshot.Workspace.CreatedAt; born.Before(at); {
			end, err := forecast.Project(s, born, at, a)
			if err != nil {
				return nil, err
			}
			if !end.Workspace.Deleted {
				all = append(all, end)
				break
			}
			gone := end.Build.CompletedAt
			next := a.Work(gone)
			if next.End.IsZero() {
				break
			}
			if born = next.Begin; born.Before(gone) {
				born = gone
			}
			s.Workspace.CreatedAt, s.Workspace.LastUsedAt = born, born
		}
	}
	return all, nil
}

// pasts is what was recorded of everybody.
func pasts(devs []developer) []forecast.Past {
	var all []forecast.Past
	for _, d := range devs {
		all = append(all, forecast.Past{Who: d.id, Location: d.home, Sessions: d.sessions})
	}
	return all
}

// history is the builds that ended before an instant.
func history(members []forecast.Member, until time.Time) []lifecycle.Build {
	var all []lifecycle.Build
	for _, m := range members {
		a := forecast.Assumptions{Build: builds, Work: forecast.Recorded(m.Sessions)}
		for s := range forecast.Upcoming(m.Snapshot, m.Snapshot.Workspace.CreatedAt, until, a) {
			if s.Kind == forecast.KindEnded {
				all = append(all, s.After.Build)
			}
		}
	}
	return all
}

// foretell forecasts the last two months in stretches, each from the state at its beginning and from what was recorded up
// to then or, where learning is frozen, in the first four months.
func foretell(devs []developer, members []forecast.Member, stretch time.Duration, draws int, frozen bool) ([]forecast.HourBand, error) {
	var all []forecast.HourBand
	for from := learnt; from.Before(ends); from = from.Add(stretch) {
		until := from.Add(stretch)
		if until.After(ends) {
			until = ends
		}
		fleet, err := state(members, from)
		if err != nil {
			return nil, err
		}
		known := from
		if frozen {
			known = learnt
		}
		b := forecast.Learn(known, slices.Values(pasts(devs)), slices.Values(history(members, known)))
		o, err := forecast.Forecast(slices.Values(fleet), b, from, until, forecast.ForecastConfig{Draws: draws})
		if err != nil {
			return nil, err
		}
		all = append(all, o.Hours...)
	}
	return all, nil
}

// deviations are the mean absolute errors of the last two months, as parts of their peak.
type deviations struct {
	peak                                    float64
	forecast, lastWeek, mean, weekday, bias float64
	// afterwards is the error of whoever knew the mean of each hour of the week of the tested months themselves: what is
	// left is how single weeks differ.
	afterwards float64
	// within is the part of the hours that lie in the band.
	within float64
}

func measure(actual []float64, foretold []forecast.HourBand) deviations {
	first := hoursBetween(begins, learnt)
	past, test := actual[:first], actual[first:]
	const week = 7 * 24
	var d deviations
	var hourly [week][2]float64
	total := 0.0
	for i, v := range past {
		total += v
		hourly[i%week][0] += v
		hourly[i%week][1]++
	}
	for i, v := range test {
		d.peak = max(d.peak, v)
		d.forecast += math.Abs(v - foretold[i].Running.Mean)
		d.bias += foretold[i].Running.Mean - v
		d.lastWeek += math.Abs(v - actual[first+i-week])
		d.mean += math.Abs(v - total/float64(len(past)))
		at := hourly[(first+i)%week]
		d.weekday += math.Abs(v - at[0]/at[1])
		if foretold[i].Running.Low <= v && v <= foretold[i].Running.High {
			d.within++
		}
	}
	d.afterwards = afterwards(test)
	n := float64(len(test))
	for _, v := range []*float64{&d.forecast, &d.lastWeek, &d.mean, &d.weekday, &d.bias, &d.afterwards} {
		*v /= n * d.peak
	}
	d.within /= n
	return d
}

// afterwards sums up how far the hours are off the mean of the same hours of all weeks.
func afterwards(test []float64) float64 {
	const week = 7 * 24
	off := 0.0
	for hour := range min(week, len(test)) {
		total, n := 0.0, 0.0
		for i := hour; i < len(test); i += week {
			total, n = total+test[i], n+1
		}
		for i := hour; i < len(test); i += week {
			off += math.Abs(test[i] - total/n)
		}
	}
	return off
}
