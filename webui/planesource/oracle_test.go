package planesource_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/dormousetest"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// office is a plane in a bubble, whose builds take no time, with a journal.
func office(t *testing.T, test func(s *site, source *planesource.Source, j *planesource.Journal)) {
	synctest.Test(t, func(t *testing.T) {
		j, all := newJournal(t, planesource.JournalConfig{}), memory.New()
		s := newSite(t, all, dormousetest.Quiet(dormouse.Config{Audit: j.Record, Build: func(context.Context, *dormouse.Build) error { return nil }}))
		source, err := planesource.New(s.Plane, all, planesource.Config{Journal: j})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		test(s, source, j)
		cancel()
		must(t, <-ran)
	})
}

// What ran is counted from the builds: what began before the hours and still runs, what came and went within one, and what
// stopped that nobody saw begin.
func TestRan(t *testing.T) {
	office(t, func(s *site, source *planesource.Source, _ *planesource.Journal) {
		start := func(id uuid.UUID) { _, err := s.Start(s.t.Context(), id); must(s.t, err) }
		stop := func(id uuid.UUID) { _, err := s.Stop(s.t.Context(), id); must(s.t, err) }
		create := func(name string) uuid.UUID {
			id := s.create(name)
			_, err := s.SetTTL(s.t.Context(), id, 100*time.Hour)
			must(s.t, err)
			return id
		}
		steady, early, brief := create("steady"), create("early"), create("brief")
		s.create("idle")
		start(steady)
		start(early)
		time.Sleep(7*time.Hour + time.Minute) // further back than builds are read
		from := time.Now().Truncate(time.Hour)
		time.Sleep(90 * time.Minute)
		stop(early)
		time.Sleep(time.Hour)
		start(brief)
		time.Sleep(10 * time.Minute)
		stop(brief)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got, err := source.Ran(s.t.Context(), from, 5)
		must(s.t, err)
		// Hours: 2 run; early stops in the second; brief runs in the third; then steady alone.
		if want := []int{2, 2, 2, 1, 1}; !slices.Equal(got, want) {
			s.t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// Once people are known, the band is where they would put the fleet.
func TestLearn(t *testing.T) {
	office(t, func(s *site, source *planesource.Source, j *planesource.Journal) {
		id := s.create("api")
		must(s.t, source.Learn(s.t.Context(), time.Now()))
		if o, err := source.Outlook(s.t.Context()); err != nil || o != nil {
			s.t.Fatalf("an outlook of nobody: %+v, %v", o, err)
		}
		if b := source.Behavior(); b != nil {
			s.t.Fatalf("the behavior of nobody: %+v", b)
		}
		for range 15 { // works from 10 to 12
			day := time.Now().Truncate(24 * time.Hour)
			for at := day.Add(10 * time.Hour); at.Before(day.Add(12 * time.Hour)); at = at.Add(10 * time.Minute) {
				j.Used(id, at)
			}
			time.Sleep(24 * time.Hour)
		}
		must(s.t, source.Learn(s.t.Context(), time.Now()))
		o, err := source.Outlook(s.t.Context())
		must(s.t, err)
		foretold, err := s.Forecast(s.t.Context(), source.Behavior(), o.Until, forecast.ForecastConfig{
			Draws: o.Draws, Assumptions: forecast.Assumptions{Beat: 30 * time.Minute},
		})
		must(s.t, err)
		if !reflect.DeepEqual(&foretold, o) {
			s.t.Error("what was learned foretells something else than the pages show")
		}
		var at10, at3 float64
		for _, h := range o.Hours {
			switch h.At.UTC().Hour() {
			case 10:
				at10 += h.Most.Mean
			case 3:
				at3 += h.Most.Mean
			}
		}
		if len(o.Hours) < 7*24-1 || at10 <= at3 {
			s.t.Errorf("%d hours, at 10 %.2f, at 3 %.2f", len(o.Hours), at10, at3)
		}
	})
}
