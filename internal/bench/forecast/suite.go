package forecast

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// Suite measures how well the future is foretold, what learned schedules save, and what simulations cost.
var Suite = figure.Suite{Name: "forecast", Run: run}

func run(_ context.Context, r *figure.Recorder) error {
	devs, err := load()
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(*figure.Recorder, []developer) error
	}{
		{"forecast/upcoming", upcoming}, {"forecast/error/", accuracy}, {"forecast/simulate/", costs}, {"forecast/suggest/", savings},
	} {
		if !r.Wants(part.name) {
			continue
		}
		r.Step("%s", part.name)
		if err := part.run(r, devs); err != nil {
			return err
		}
	}
	return nil
}

// upcoming measures a step of one workspace.
func upcoming(r *figure.Recorder, devs []developer) error {
	s := devs[0].member(&plans[1]).Snapshot
	s.Build = lifecycle.Build{Number: 1, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded, CreatedAt: begins, CompletedAt: begins}
	s.Template.Policy.TimeTilDormant = 0
	steps := 0
	began := meter.Process()
	for range 50 {
		for range forecast.Upcoming(s, begins, ends, forecast.Assumptions{}) {
			steps++
		}
	}
	r.Plain("forecast/upcoming", float64((meter.Process()-began).Nanoseconds())/float64(steps), "ns", fmt.Sprintf("CPU of one step, %d steps", steps))
	return nil
}

// accuracy learns on four months and foretells the next two, a week at a time and all at once.
func accuracy(r *figure.Recorder, devs []developer) error {
	draws := 10
	if r.Full {
		draws = 30
	}
	members := dealt(devs)
	actual, err := replay(members)
	if err != nil {
		return err
	}
	weekly, err := foretell(devs, members, 7*day, draws, false)
	if err != nil {
		return err
	}
	d := measure(actual, weekly)
	note := fmt.Sprintf("running workspaces by the hour, June and July, a week ahead, %d draws; peak %.0f", draws, d.peak)
	r.AtMost(5, "forecast/error/week", 100*d.forecast, "%", note+"; mean error as part of the peak")
	r.AtMost(1, "forecast/error/lastweek", d.forecast/d.lastWeek, "x", fmt.Sprintf("against the same hour of last week, which is %.2f %% off", 100*d.lastWeek))
	r.AtMost(1, "forecast/error/mean", d.forecast/d.mean, "x", fmt.Sprintf("against the mean of four months, which is %.2f %% off", 100*d.mean))
	r.AtMost(1, "forecast/error/hour", d.forecast/d.weekday, "x", fmt.Sprintf("against the mean of the hour of the week, which is %.2f %% off", 100*d.weekday))
	r.Plain("forecast/error/band", 100*d.within, "%", "of the hours within the band of 80 %")
	frozen, err := foretell(devs, members, 7*day, draws, true)
	if err != nil {
		return err
	}
	d = measure(actual, frozen)
	r.AtMost(5, "forecast/error/frozen", 100*d.forecast, "%", "a week ahead from the state of each week, nothing learned since the first of June")
	r.AtMost(1, "forecast/error/frozen/lastweek", d.forecast/d.lastWeek, "x", "against the same hour of last week")
	months, err := foretell(devs, members, ends.Sub(learnt), draws, true)
	if err != nil {
		return err
	}
	d = measure(actual, months)
	r.AtMost(5, "forecast/error/months", 100*d.forecast, "%", "the same, two months ahead from the first of June, nothing learned since")
	return alone(r, devs, draws)
}

// alone foretells each template for itself.
func alone(r *figure.Recorder, devs []developer, draws int) error {
	if !r.Full {
		return nil
	}
	for i := range plans {
		var members []forecast.Member
		for k := range devs {
			members = append(members, devs[k].member(&plans[i]))
		}
		actual, err := replay(members)
		if err != nil {
			return err
		}
		weekly, err := foretell(devs, members, 7*day, draws, false)
		if err != nil {
			return err
		}
		d := measure(actual, weekly)
		r.Plain("forecast/error/"+plans[i].name, 100*d.forecast, "%",
			fmt.Sprintf("everybody under this policy, a week ahead; peak %.0f, last week %.2f %% off, hour of the week %.2f %%, mean %.2f %%",
				d.peak, 100*d.lastWeek, 100*d.weekday, 100*d.mean))
		r.Plain("forecast/error/"+plans[i].name+"/afterwards", 100*d.afterwards, "%",
			"of whoever knew the mean of each hour of the week of June and July in advance: the rest is chance")
		r.Plain("forecast/error/"+plans[i].name+"/band", 100*d.within, "%", "of the hours within the band of 80 %")
	}
	return nil
}

// costs measures time and memory of simulations.
func costs(r *figure.Recorder, devs []developer) error {
	var members []forecast.Member
	for i := range devs {
		members = append(members, devs[i].member(&plans[0]))
	}
	var three []forecast.Candidate
	for i := range plans {
		three = append(three, forecast.Candidate{Name: plans[i].name, Set: func(s *lifecycle.Snapshot) { set(s, &plans[i], devs) }})
	}
	took, err := timed(slices.Values(members), begins, ends, three)
	if err != nil {
		return err
	}
	note := "half a year of 1,383 workspaces under three policies"
	r.AtMost(15, "forecast/simulate/half-year", took.wall.Seconds(), "s", note+", "+took.String())
	r.AtMost(500, "forecast/simulate/half-year/heap", float64(took.heap)/1e6, "MB", note+"; most of the heap in use")
	return many(r, devs)
}

// set gives a workspace another plan.
func set(s *lifecycle.Snapshot, p *plan, devs []developer) {
	for i := range devs { // few enough
		if devs[i].id == s.Workspace.ID {
			*s = devs[i].member(p).Snapshot
			return
		}
	}
}

// many simulates four weeks of fleets of growing size.
func many(r *figure.Recorder, devs []developer) error {
	members := dealt(devs)
	fleet, err := state(members, learnt)
	if err != nil {
		return err
	}
	sessions := map[uuid.UUID][]forecast.Session{}
	for _, d := range devs {
		sessions[d.id] = d.sessions
	}
	n := 20_000
	if r.Full {
		n = 100_000
	}
	until := learnt.Add(28 * day)
	large, err := timed(copies(fleet, sessions, n), learnt, until, nil)
	if err != nil {
		return err
	}
	small, err := timed(copies(fleet, sessions, n/10), learnt, until, nil)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%d workspaces for four weeks, copies of the recorded ones", n)
	r.AtMost(60*float64(n)/100_000, "forecast/simulate/many", large.wall.Seconds(), "s", note+", "+large.String())
	r.AtMost(1.3, "forecast/simulate/linear", large.cpu.Seconds()/small.cpu.Seconds()/10, "x", fmt.Sprintf("CPU for each workspace at %d against %d", n, n/10))
	r.Plain("forecast/simulate/many/heap", float64(large.heap)/1e6, "MB", note+"; most of the heap in use")
	busy, err := timed(busy(n/10), learnt, until, nil)
	if err != nil {
		return err
	}
	r.Plain("forecast/simulate/busy", busy.wall.Seconds(), "s", fmt.Sprintf("%d workspaces for four weeks, all at work from nine to five with a report every five minutes, %v", n/10, busy))
	return nil
}

// copies repeats a fleet with its people until it has n members.
func copies(fleet []lifecycle.Snapshot, sessions map[uuid.UUID][]forecast.Session, n int) iter.Seq[forecast.Member] {
	return func(yield func(forecast.Member) bool) {
		for i := range n {
			s := fleet[i%len(fleet)]
			m := forecast.Member{Snapshot: s, Sessions: sessions[s.Workspace.ID]}
			m.Snapshot.Workspace.ID = uuid.NewSHA1(s.Workspace.ID, fmt.Append(nil, i/len(fleet)))
			if !yield(m) {
				return
			}
		}
	}
}

// busy is a fleet in which everybody works every day.
func busy(n int) iter.Seq[forecast.Member] {
	var work []forecast.Session
	for d := range 28 {
		if at := learnt.Add(time.Duration(d)*day + 9*time.Hour); workdays.Has(at.Weekday()) {
			work = append(work, forecast.Session{Begin: at, End: at.Add(8 * time.Hour)})
		}
	}
	cron, _ := schedule.Weekly("0 9 * * *")
	return func(yield func(forecast.Member) bool) {
		for i := range n {
			d := developer{id: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)), home: time.UTC, sessions: work}
			m := d.member(&plans[1])
			m.Snapshot.Workspace.Autostart = cron
			if !yield(m) {
				return
			}
		}
	}
}

// cost is what a simulation took.
type cost struct {
	wall, cpu time.Duration
	heap      uint64
}

func (c cost) String() string { return fmt.Sprintf("%.1f s of CPU", c.cpu.Seconds()) }

// timed simulates, and watches the heap.
func timed(fleet iter.Seq[forecast.Member], from, until time.Time, candidates []forecast.Candidate) (cost, error) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for t := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-done:
				t.Stop()
				return
			case <-t.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	began, computed := time.Now(), meter.Process()
	_, err := forecast.Simulate(fleet, from, until, candidates, forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: builds}})
	c := cost{wall: time.Since(began), cpu: meter.Process() - computed}
	close(done)
	<-watched
	c.heap = most.Load() - min(before, most.Load())
	return c, err
}
