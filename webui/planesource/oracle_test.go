package planesource_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
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

// A process that has begun just now, and one without a journal, know from the store when people worked; all of them foretell the same.
func TestLearnAfterARestart(t *testing.T) {
	office(t, func(s *site, source *planesource.Source, _ *planesource.Journal) {
		byHand, short := s.create("api"), s.create("short")
		s.create("idle")
		_, err := s.SetTTL(s.t.Context(), short, time.Hour)
		must(s.t, err)
		for range 20 { // works from 10 to 12, and lets the other one stop by itself
			time.Sleep(10 * time.Hour)
			for _, id := range []uuid.UUID{byHand, short} {
				_, err := s.Start(s.t.Context(), id)
				must(s.t, err)
			}
			time.Sleep(2 * time.Hour)
			_, err = s.Stop(s.t.Context(), byHand)
			must(s.t, err)
			time.Sleep(12 * time.Hour)
		}
		now := time.Now()
		must(s.t, source.Learn(s.t.Context(), now))
		first, err := source.Outlook(s.t.Context())
		must(s.t, err)
		if first == nil {
			s.t.Fatal("no outlook")
		}
		for name, cfg := range map[string]planesource.Config{"new process": {Journal: newJournal(s.t, planesource.JournalConfig{})}, "no journal": {}} {
			other, err := planesource.New(s.Plane, s.store, cfg)
			must(s.t, err)
			must(s.t, other.Learn(s.t.Context(), now))
			if o, err := other.Outlook(s.t.Context()); err != nil || !reflect.DeepEqual(o, first) {
				s.t.Errorf("%s: another outlook, %v", name, err)
			}
		}
		at := func(hour int) (mean float64) {
			for _, h := range first.Hours {
				if h.At.UTC().Hour() == hour {
					mean += h.Most.Mean
				}
			}
			return mean / 7
		}
		// The one with a TTL of an hour stops by itself; the other runs eight hours, because nobody is foretold to stop it.
		if at(10) < 0.3 || at(11) >= at(10) || at(20) > 0.3 || at(3) > 0.3 {
			s.t.Errorf("at 10 %.2f, at 11 %.2f, at 20 %.2f, at 3 %.2f; want two at most, fewer, none and none", at(10), at(11), at(20), at(3))
		}
	})
}

// That the journal has heard of one use, in a process that the others' requests do not reach, makes no run unsaid that came later.
func TestLearnBesideAJournalThatHeardLittle(t *testing.T) {
	office(t, func(s *site, source *planesource.Source, j *planesource.Journal) {
		id := s.create("a")
		time.Sleep(8 * time.Hour)
		first := time.Now()
		for range 14 { // at 8 by hand
			_, err := s.Start(s.t.Context(), id)
			must(s.t, err)
			time.Sleep(2 * time.Hour)
			_, err = s.Stop(s.t.Context(), id)
			must(s.t, err)
			time.Sleep(22 * time.Hour)
		}
		at8 := func() (mean float64) {
			must(s.t, source.Learn(s.t.Context(), time.Now()))
			o, err := source.Outlook(s.t.Context())
			must(s.t, err)
			for _, h := range o.Hours {
				if h.At.UTC().Hour() == 8 {
					mean += h.Most.Mean
				}
			}
			return mean
		}
		before := at8()
		j.Used(id, first.Add(time.Hour))
		if after := at8(); before == 0 || after < before/2 {
			s.t.Errorf("at 8 before %.2f, and %.2f after the journal has heard of the first day", before, after)
		}
	})
}

// What the journal has heard stands; what was before it, or when it heard nothing, is taken from the runs.
func TestLearnBesideTheJournal(t *testing.T) {
	office(t, func(s *site, source *planesource.Source, j *planesource.Journal) {
		var ids []uuid.UUID
		for name := range strings.FieldsSeq("a b c d e f g h") {
			ids = append(ids, s.create(name))
		}
		time.Sleep(8 * time.Hour)
		for range 14 { // at 8 by hand
			for _, id := range ids {
				_, err := s.Start(s.t.Context(), id)
				must(s.t, err)
			}
			time.Sleep(2 * time.Hour)
			for _, id := range ids {
				_, err := s.Stop(s.t.Context(), id)
				must(s.t, err)
			}
			time.Sleep(22 * time.Hour)
		}
		at := func(hour int) (mean float64) {
			must(s.t, source.Learn(s.t.Context(), time.Now()))
			o, err := source.Outlook(s.t.Context())
			must(s.t, err)
			for _, h := range o.Hours {
				if h.At.UTC().Hour() == hour {
					mean += h.Most.Mean
				}
			}
			return mean
		}
		if at(8) == 0 || at(20) != 0 {
			s.t.Errorf("before: at 8 %.2f, at 20 %.2f", at(8), at(20))
		}
		for d := range 7 { // in the second week the journal hears of somebody at 20
			for _, id := range ids {
				j.Used(id, time.Now().Add(-time.Duration(7-d)*24*time.Hour+12*time.Hour))
			}
		}
		if at(8) == 0 || at(20) == 0 {
			s.t.Errorf("after: at 8 %.2f, at 20 %.2f", at(8), at(20))
		}
	})
}
