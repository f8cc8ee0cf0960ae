package forecast

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// What the documentation says of the recorded activity, with fewer draws and candidates: unlike times, these figures are the
// same on every machine.
func TestForetoldIsCloserThanLastWeek(t *testing.T) {
	if raced {
		t.Skip("figures, not goroutines")
	}
	devs := recorded(t)
	members := dealt(devs)
	actual, err := replay(members)
	if err != nil {
		t.Fatal(err)
	}
	weekly, err := foretell(devs, members, 7*day, 5, false)
	if err != nil {
		t.Fatal(err)
	}
	d := measure(actual, weekly)
	if d.forecast > 0.05 || d.forecast > d.lastWeek || d.forecast > d.mean || d.forecast > d.weekday {
		t.Errorf("off by %.4f of the peak; last week by %.4f, the hour of the week by %.4f, the mean by %.4f",
			d.forecast, d.lastWeek, d.weekday, d.mean)
	}
}

// testGrid has fixed policies that are best at the tested pains, or nearly so, of all 444, and a learned one for each.
var testGrid = grid{
	dormant: []time.Duration{3 * day}, bump: []time.Duration{time.Hour, 4 * time.Hour}, days: []string{"1-5"},
	starts: []int{8, 10}, ttls: []int{2, 4, 8}, prices: []float64{20, 40, 70},
}

func TestLearnedSchedulesSave(t *testing.T) {
	if raced {
		t.Skip("figures, not goroutines")
	}
	devs := recorded(t)
	fixed, learned, err := summer.frontiers(devs, &testGrid, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, pain := range []float64{0.8, 0.7, 0.6} {
		f, ok1 := cheapest(fixed, pain)
		l, ok2 := cheapest(learned, pain)
		if !ok1 || !ok2 || l.Hours > 0.7*f.Hours {
			t.Errorf("at most %.0f %% wait: %.0f h (%s), fixed %.0f h (%s)", 100*pain, l.Hours, l.Name, f.Hours, f.Name)
		}
	}
}

// The recorded half year goes through without anybody stuck, and every session is counted once.
func TestReplayCountsEverySession(t *testing.T) {
	devs := recorded(t)
	sessions := 0
	for _, d := range devs {
		for _, s := range d.sessions {
			if s.Begin.Before(ends) && !s.Begin.Before(begins) {
				sessions++
			}
		}
	}
	for i := range plans {
		var members []forecast.Member
		for k := range devs {
			members = append(members, devs[k].member(&plans[i]))
		}
		s, err := simulateAll(members)
		if err != nil {
			t.Fatal(err)
		}
		r := s.Results[0]
		if r.Stuck != 0 || r.Sessions < sessions-len(devs) || r.Sessions > sessions {
			t.Errorf("%s: %d sessions of %d, %d stuck", plans[i].name, r.Sessions, sessions, r.Stuck)
		}
	}
}

func recorded(t *testing.T) []developer {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	devs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return devs
}
