package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/schedule"
)

const (
	// pause is how long somebody is away before the next activity is the beginning of another session, which claims.
	pause = 4 * time.Hour
	// build is how long a workspace takes to become ready.
	build = 5 * time.Minute
	// learned is how many weeks a forecast looks back.
	learned = 6
)

// readActivity returns when sessions began: the first activity of somebody after a pause.
func readActivity(path string) ([]time.Time, error) {
	f, err := openActivity(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	byPerson := make(map[string][]time.Time)
	for _, row := range rows[min(1, len(rows)):] {
		if len(row) != 2 {
			return nil, fmt.Errorf("read %s: a row has %d columns, not 2", f.Name(), len(row))
		}
		at, err := time.Parse(time.RFC3339, row[1])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		byPerson[row[0]] = append(byPerson[row[0]], at)
	}
	return sessions(byPerson), nil
}

// openActivity opens the file that was named, or the one that the quick start comes with.
func openActivity(path string) (*os.File, error) {
	if path != "" {
		return os.Open(path)
	}
	for _, at := range []string{"examples/quickstart/activity.csv", "quickstart/activity.csv", "../quickstart/activity.csv"} {
		if f, err := os.Open(at); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, errors.New("examples/quickstart/activity.csv is not here: say where with -activity, or run this in the repository")
}

func sessions(byPerson map[string][]time.Time) []time.Time {
	var starts []time.Time
	for _, times := range byPerson {
		slices.SortFunc(times, time.Time.Compare)
		for i, at := range times {
			if i == 0 || at.Sub(times[i-1]) > pause {
				starts = append(starts, at.UTC())
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	return starts
}

// curve is what one kind of size gives and costs, for several settings.
type curve struct {
	Name   string
	Points []point
}

type point struct {
	Label     string
	HitRate   float64
	IdleHours float64 // a day
	Claims    int
}

// compare replays the sessions against each kind of size. The first weeks are for learning only.
func compare(starts []time.Time) ([]curve, error) {
	if len(starts) == 0 {
		return nil, errors.New("no activity")
	}
	first := starts[0].Truncate(24*time.Hour).AddDate(0, 0, 7*learned)
	last := starts[len(starts)-1]
	forecasts, err := learn(starts, first, last)
	if err != nil {
		return nil, err
	}
	hours, err := schedule.Weekly("CRON_TZ=UTC 0 6 * * 1-5")
	if err != nil {
		return nil, err
	}
	var curves []curve
	add := func(name, label string, spec func(now time.Time) prewarm.Spec) {
		if err != nil {
			return
		}
		var o prewarm.Outcome
		o, err = prewarm.Replay(prewarm.Trace{Claims: starts, From: first, To: last, Build: build, Spec: spec, Step: 5 * time.Minute, Window: time.Hour})
		if len(curves) == 0 || curves[len(curves)-1].Name != name {
			curves = append(curves, curve{Name: name})
		}
		c := &curves[len(curves)-1]
		c.Points = append(c.Points, point{label, o.HitRate(), o.Idle.Hours() / (last.Sub(first).Hours() / 24), o.Claims})
	}
	base := prewarm.Spec{Name: "trace", Version: "1", Ceiling: 50, HitRate: -1}
	for n := range 5 {
		s := base
		s.Floor = n + 1
		add("fixed", fmt.Sprintf("%d", n+1), func(time.Time) prewarm.Spec { return s })
	}
	for n := range 5 {
		s := base
		s.Windows = []prewarm.Window{{Start: hours, Length: 14 * time.Hour, Size: n + 1}}
		s.Floor = n / 2
		add("scheduled", fmt.Sprintf("%d, else %d", n+1, n/2), func(time.Time) prewarm.Spec { return s })
	}
	for _, rate := range []float64{0.5, 0.8, 0.9, 0.95, 0.99} {
		s := base
		s.HitRate = rate
		add("forecast", fmt.Sprintf("%.0f %%", 100*rate), func(now time.Time) prewarm.Spec {
			s.Demand.Forecast = forecasts[int(now.Sub(first)/(7*24*time.Hour))]
			return s
		})
	}
	return curves, err
}

// learn makes a forecast for each week, from what was known before it.
func learn(starts []time.Time, first, last time.Time) ([]*prewarm.Forecast, error) {
	var forecasts []*prewarm.Forecast
	for at := first; !at.After(last); at = at.AddDate(0, 0, 7) {
		f, err := prewarm.Learn(starts, learned, at, time.UTC)
		if err != nil {
			return nil, err
		}
		forecasts = append(forecasts, f)
	}
	return forecasts, nil
}
