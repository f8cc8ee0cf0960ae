package forecast

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// split is where learning ends, and until when it is tested.
type split struct{ learnt, ends time.Time }

var (
	summer = split{learnt, ends}
	spring = split{time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), learnt}
)

// members is everybody's workspace at the end of what was learned: stopped since its owner's last session, or not yet
// made. Every candidate begins from it.
func (t split) members(devs []developer) []forecast.Member {
	var all []forecast.Member
	for i := range devs {
		d := &devs[i]
		m := d.member(&plan{name: "any"})
		var last time.Time
		for k, s := range d.sessions {
			if !s.Begin.Before(t.learnt) {
				break
			}
			last = s.End
			m.Sessions = d.sessions[k+1:]
		}
		if !last.IsZero() {
			if last.After(t.learnt) {
				last = t.learnt
			}
			m.Snapshot.Workspace.LastUsedAt, m.Snapshot.Workspace.AutostartAfter = last, t.learnt
			m.Snapshot.Build = lifecycle.Build{
				Number: 1, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded, CreatedAt: last, CompletedAt: last,
			}
		}
		all = append(all, m)
	}
	return all
}

// base is what fixed and learned schedules have in common.
func base(dormant, bump time.Duration) lifecycle.Policy {
	return lifecycle.Policy{
		ActivityBump: bump, AutostartDays: schedule.AllDays, AllowUserAutostart: true, AllowUserTTL: true,
		TimeTilDormant: dormant, FailureTTL: time.Hour,
	}
}

// grid is how finely fixed and learned policies are tried.
type grid struct {
	dormant, bump []time.Duration
	days          []string
	starts, ttls  []int
	prices        []float64
}

var (
	fullGrid = grid{
		dormant: []time.Duration{3 * day, 7 * day, 14 * day, 0}, bump: []time.Duration{time.Hour, 4 * time.Hour, 8 * time.Hour},
		days: []string{"1-5", "*"}, starts: []int{8, 9, 10}, ttls: []int{2, 4, 6, 8, 12, 16},
		prices: []float64{7, 10, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 400, 800},
	}
	smallGrid = grid{
		dormant: []time.Duration{3 * day, 7 * day}, bump: []time.Duration{time.Hour, 4 * time.Hour},
		days: []string{"1-5"}, starts: []int{8, 10}, ttls: []int{2, 4, 8, 12}, prices: []float64{10, 20, 40, 70, 150, 400},
	}
)

// fixed are policies that give everybody the same hours, on their own clocks.
func (g *grid) fixed(homes map[uuid.UUID]*time.Location) []forecast.Candidate {
	var all []forecast.Candidate
	for _, dormant := range g.dormant {
		for _, bump := range g.bump {
			p := base(dormant, bump)
			all = append(all, forecast.Candidate{Name: fmt.Sprintf("by hand, bump %v, dormant %v", bump, dormant), Set: func(s *lifecycle.Snapshot) {
				s.Template.Policy, s.Workspace.TTL = p, time.Hour
			}})
			for _, days := range g.days {
				for _, start := range g.starts {
					for _, ttl := range g.ttls {
						name := fmt.Sprintf("%02d:00 %s for %dh, bump %v, dormant %v", start, days, ttl, bump, dormant)
						all = append(all, forecast.Candidate{Name: name, Set: func(s *lifecycle.Snapshot) {
							s.Template.Policy, s.Workspace.TTL = p, time.Duration(ttl)*time.Hour
							s.Workspace.Autostart = crons.Weekly(fmt.Sprintf("CRON_TZ=%s 0 %d * * %s", homes[s.Workspace.ID], start, days))
						}})
					}
				}
			}
		}
	}
	return all
}

// learned are schedules learned for each, at growing prices of a wait.
func (g *grid) learned(devs []developer, until time.Time) []forecast.Candidate {
	b := forecast.Learn(until, slices.Values(pasts(devs)), slices.Values([]lifecycle.Build(nil)))
	var all []forecast.Candidate
	for _, dormant := range g.dormant {
		for _, bump := range g.bump {
			p := base(dormant, bump)
			p.ExtendAtAutostart = true
			planner := b.Planner(p)
			for _, price := range g.prices {
				specs := map[uuid.UUID]string{}
				for _, d := range devs {
					w := planner.WorkingHours(d.id, price)
					w.Zone = d.home // also of those who were not known yet
					specs[d.id] = w.Spec()
				}
				name := fmt.Sprintf("learned, %v h a wait, bump %v, dormant %v", price, bump, dormant)
				all = append(all, forecast.Candidate{Name: name, Set: func(s *lifecycle.Snapshot) {
					s.Template.Policy, s.Workspace.TTL = p, forecast.WorkingHours{}.TTL()
					s.Workspace.Autostart = crons.Weekly(specs[s.Workspace.ID])
				}})
			}
		}
	}
	return all
}

// frontiers simulates what comes after what was learned under fixed and learned schedules, some candidates at a time to
// bound the memory.
func (t split) frontiers(devs []developer, g *grid, step func(done, of int)) (fixed, learned forecast.Simulation, err error) {
	homes := map[uuid.UUID]*time.Location{}
	for _, d := range devs {
		homes[d.id] = d.home
	}
	members := t.members(devs)
	for _, k := range []struct {
		all []forecast.Candidate
		to  *forecast.Simulation
	}{{g.fixed(homes), &fixed}, {g.learned(devs, t.learnt), &learned}} {
		for part := range slices.Chunk(k.all, 50) {
			s, err := forecast.Simulate(slices.Values(members), t.learnt, t.ends, part, forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: builds}})
			if err != nil {
				return fixed, learned, err
			}
			for i := range s.Results {
				s.Results[i].ByHour = nil
			}
			k.to.Results = append(k.to.Results, s.Results...)
			step(len(k.to.Results), len(k.all))
		}
	}
	return fixed, learned, nil
}

// cheapest is the candidate with the fewest hours that keeps to a pain.
func cheapest(s forecast.Simulation, pain float64) (forecast.Result, bool) {
	for _, r := range s.Frontier() {
		if r.Pain() <= pain {
			return r, true
		}
	}
	return forecast.Result{}, false
}

// mixed is the hours of a frontier at a pain, where two policies may be mixed: some people under one, the rest under the
// other. It is 0 where the frontier does not reach.
func mixed(s forecast.Simulation, pain float64) float64 {
	f := s.Frontier()
	for i := 1; i < len(f); i++ {
		if a, b := f[i-1], f[i]; a.Pain() >= pain && b.Pain() <= pain {
			return a.Hours + (a.Pain()-pain)/(a.Pain()-b.Pain())*(b.Hours-a.Hours)
		}
	}
	return 0
}

// savings compares learned schedules with the best fixed policy at the same pain.
func savings(r *figure.Recorder, devs []developer) error {
	if !r.Full {
		return compare(r, devs, "forecast/suggest/", summer, &smallGrid)
	}
	if err := compare(r, devs, "forecast/suggest/", summer, &fullGrid); err != nil {
		return err
	}
	return compare(r, devs, "forecast/suggest/spring/", spring, &fullGrid)
}

func compare(r *figure.Recorder, devs []developer, prefix string, t split, g *grid) error {
	if !r.Wants(prefix) {
		return nil
	}
	fixed, learned, err := t.frontiers(devs, g, func(done, of int) { r.Step("%s: %d of %d candidates", prefix, done, of) })
	if err != nil {
		return err
	}
	pains := []float64{0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2}
	if !r.Full {
		pains = pains[:4] // the small grid is too coarse for the others
	}
	for _, pain := range pains {
		f, ok1 := cheapest(fixed, pain)
		l, ok2 := cheapest(learned, pain)
		if !ok1 || !ok2 {
			continue
		}
		name := fmt.Sprintf("%s%.0f", prefix, 100*pain)
		r.AtLeast(30, name, 100*(1-l.Hours/f.Hours), "%",
			fmt.Sprintf("hours saved where at most %.0f %% of sessions wait: %.0f h (%s) against %.0f h of the best of %d fixed policies (%s)",
				100*pain, l.Hours, l.Name, f.Hours, len(fixed.Results), f.Name))
		if f, l := mixed(fixed, pain), mixed(learned, pain); f > 0 && l > 0 {
			r.Plain(name+"/mixed", 100*(1-l/f), "%", "the same, where fixed policies and learned ones may be mixed")
			hand := fixed.Frontier()[0].Hours
			r.Plain(name+"/mixed/beyond", 100*(1-(l-hand)/(f-hand)), "%",
				fmt.Sprintf("the same, of what runs beyond the %.0f h that people start by hand and use, which no schedule saves", hand))
		}
	}
	return nil
}
