package forecast_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// answers are what the functions of the package say about a fleet of nobody between two instants.
func answers(from, until time.Time, hour, build, misses float64) map[string]func() (any, error) {
	none := slices.Values([]lifecycle.Snapshot(nil))
	members := slices.Values([]forecast.Member(nil))
	people := forecast.Learn(from, func(func(forecast.Past) bool) {}, func(func(lifecycle.Build) bool) {})
	costs := forecast.SimulateConfig{HourCost: hour, BuildCost: build}
	return map[string]func() (any, error){
		"Forecast": func() (any, error) {
			return forecast.Forecast(none, people, from, until, forecast.ForecastConfig{Draws: 1})
		},
		"Simulate": func() (any, error) { return forecast.Simulate(members, from, until, nil, costs) },
		"Suggest": func() (any, error) {
			return forecast.Suggest(members, people, from, until, forecast.SuggestConfig{SimulateConfig: costs})
		},
		"SuggestPool": func() (any, error) { return forecast.SuggestPool(members, misses, from, until, costs) },
		"ComparePlan": func() (any, error) {
			return forecast.ComparePlan(lifecycle.PolicyPlan{Change: lifecycle.PolicyChange{At: from}}, none, until, forecast.PlanConfig{SimulateConfig: costs})
		},
	}
}

// Whatever numbers and instants are given: they are refused, or the answer can be written as JSON.
func TestAnswersCanBeWritten(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	west := time.FixedZone("", -23*60*60)
	for name, c := range map[string]struct {
		from, until         time.Time
		hour, build, misses float64
		refused             []string
	}{
		"usual":                  {noon, noon.Add(time.Hour), 1, 1, 0.1, nil},
		"the last hour":          {last.Add(-time.Hour), last, 1, 1, 0.1, nil},
		"until the year 10000":   {last.Add(-time.Hour), last.Add(time.Hour), 1, 1, 0.1, []string{"Forecast", "Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"10000, said in a zone":  {last.Add(-time.Hour), time.Date(9999, 12, 31, 23, 0, 0, 0, west), 1, 1, 0.1, []string{"Forecast", "Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"the year 0":             {time.Date(0, 12, 31, 23, 0, 0, 0, time.UTC), time.Time{}.Add(time.Hour), 1, 1, 0.1, []string{"Forecast", "Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"backwards":              {noon, noon.Add(-1), 1, 1, 0.1, []string{"Forecast", "Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"an hour costs NaN":      {noon, noon.Add(time.Hour), math.NaN(), 1, 0.1, []string{"Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"an hour costs too much": {noon, noon.Add(time.Hour), 1e308, 1, 0.1, []string{"Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"a build costs infinity": {noon, noon.Add(time.Hour), 1, math.Inf(1), 0.1, []string{"Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"a build costs less":     {noon, noon.Add(time.Hour), 1, -1, 0.1, []string{"Simulate", "Suggest", "SuggestPool", "ComparePlan"}},
		"misses of NaN":          {noon, noon.Add(time.Hour), 1, 1, math.NaN(), []string{"SuggestPool"}},
	} {
		for function, ask := range answers(c.from, c.until, c.hour, c.build, c.misses) {
			answer, err := ask()
			switch refused := slices.Contains(c.refused, function); {
			case refused && !errors.Is(err, invalid.Err), !refused && err != nil:
				t.Errorf("%s, %s: %v", function, name, err)
			case err == nil:
				if _, err := json.Marshal(answer); err != nil {
					t.Errorf("%s, %s: %v", function, name, err)
				}
			}
		}
	}
}
