package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// The replay foretells each of its last weeks, once it has seen some before.
const (
	foreseenWeeks = 4
	learnedWeeks  = 4
)

// foresight is what the replay foretells of itself: each week at its beginning, from the fleet as the store then has it and
// from what was seen up to then.
type foresight struct {
	from, end time.Time
	builds    []lifecycle.Build
	// outlook is empty where the replay is too short.
	outlook forecast.Outlook
	// error is the mean of how far the hours were off, in percent of the peak; week that of the same hour of the week before.
	error, week, within float64
	actual              []float64
}

// newForesight begins on the Monday that leaves whole weeks.
func newForesight(start, end time.Time) foresight {
	monday := end.Truncate(24 * time.Hour)
	monday = monday.AddDate(0, 0, -(int(monday.Weekday())+6)%7)
	f := foresight{from: monday.AddDate(0, 0, -7*foreseenWeeks), end: monday}
	if f.from.Before(start.AddDate(0, 0, 7*learnedWeeks)) {
		f.from = f.end
	}
	return f
}

// Error, Week and Within are for the page.
func (f *foresight) Error() float64  { return f.error }
func (f *foresight) Week() float64   { return f.week }
func (f *foresight) Within() float64 { return f.within }
func (f *foresight) From() time.Time { return f.from }

// begins reports whether a week begins that is to be foretold.
func (f *foresight) begins(now time.Time) bool {
	return !now.Before(f.from) && now.Before(f.end) && now.Sub(f.from)%(7*24*time.Hour) == 0
}

// foresee foretells the next week if one begins.
func (r *replay) foresee(ctx context.Context, now time.Time) error {
	if !r.foresight.begins(now) {
		return nil
	}
	fleet, err := r.fleet.all(ctx)
	if err != nil {
		return err
	}
	var pasts []forecast.Past
	for _, d := range r.developers {
		p := forecast.Past{Who: d.owner, Location: d.location}
		for _, s := range d.sessions {
			p.Sessions = append(p.Sessions, forecast.Session{Begin: s.begin, End: s.end}) // Learn reads those before now only
		}
		pasts = append(pasts, p)
	}
	known := forecast.Learn(now, slices.Values(pasts), slices.Values(r.foresight.builds))
	o, err := forecast.Forecast(slices.Values(fleet), known, now, now.AddDate(0, 0, 7), forecast.ForecastConfig{Seed: r.workers.seed})
	o.From, o.Hours = r.foresight.from, append(r.foresight.outlook.Hours, o.Hours...)
	r.foresight.outlook = o
	return err
}

// all lists every workspace.
func (f *fleet) all(ctx context.Context) ([]lifecycle.Snapshot, error) {
	const page = 1000
	var all []lifecycle.Snapshot
	for q := (lifecycle.ListQuery{Limit: page}); ; {
		next, err := f.store.List(ctx, q)
		if all = append(all, next...); err != nil || len(next) < page {
			return all, err
		}
		q.After = next[len(next)-1].Workspace.ID
	}
}

// learnBuild keeps what is learned from.
func (f *foresight) learnBuild(b lifecycle.Build) {
	if f.from.Before(f.end) {
		f.builds = append(f.builds, b)
	}
}

// compare looks at what then happened, hour by hour.
func (f *foresight) compare(l *ledger) {
	if len(f.outlook.Hours) == 0 {
		return
	}
	all := l.runningByHour()
	first := int(f.from.Sub(l.start).Hours())
	const week = 7 * 24
	peak := 0.0
	for i, h := range f.outlook.Hours {
		v := all[first+i]
		f.actual = append(f.actual, v)
		peak = max(peak, v)
		f.error += abs(v - h.Running.Mean)
		f.week += abs(v - all[first+i-week])
		if h.Running.Low <= v && v <= h.Running.High {
			f.within++
		}
	}
	n := float64(len(f.actual))
	f.error, f.week, f.within = percent(f.error, n*peak), percent(f.week, n*peak), percent(f.within, n)
}

func abs(f float64) float64 { return max(f, -f) }

// runningByHour is the mean of each hour.
func (l *ledger) runningByHour() []float64 {
	var all []float64
	for _, total := range l.byHour {
		all = append(all, float64(total)/float64(time.Hour/tickEvery))
	}
	return all
}

// policyPoint is one way of running the whole fleet, by what it saves and whom it keeps waiting.
type policyPoint struct {
	Name string
	// Saved is in percent of the hours of an always-on fleet, Waits in percent of the sessions but the first ones: those
	// that began with a wait for a start, or were cut off.
	Saved, Waits float64
	// Plan is the template that it is, counted from 0, or -1 for one that was only tried. Best says that no other one saves
	// as much and keeps fewer waiting.
	Plan int
	Best bool
}

// tryPolicies simulates the whole fleet under each template, and under others between them.
func (r *replay) tryPolicies() ([]policyPoint, error) {
	var members []forecast.Member
	zones := map[string]*developer{}
	for _, d := range r.developers {
		m := forecast.Member{Snapshot: lifecycle.Snapshot{
			Workspace: lifecycle.Workspace{ID: d.owner, OwnerID: d.owner, Name: d.name(), CreatedAt: d.sessions[0].begin, LastUsedAt: d.sessions[0].begin},
			Owner:     lifecycle.Owner{ID: d.owner},
		}}
		for _, s := range d.sessions {
			m.Sessions = append(m.Sessions, forecast.Session{Begin: s.begin, End: s.end})
		}
		zones[d.owner.String()] = d
		members = append(members, m)
	}
	plans := append(slices.Clone(r.plans), between(r.plans)...)
	var candidates []forecast.Candidate
	for i := range plans {
		p := &plans[i]
		candidates = append(candidates, forecast.Candidate{Name: p.name, Set: func(s *lifecycle.Snapshot) { r.fleet.give(s, p, zones[s.Owner.ID.String()].zone) }})
	}
	c := forecast.SimulateConfig{Assumptions: forecast.Assumptions{Tick: tickEvery, Beat: beat, Build: r.workers.outcome}}
	s, err := forecast.Simulate(slices.Values(members), r.start, r.end, candidates, c)
	if err != nil {
		return nil, err
	}
	best := map[string]bool{}
	for _, b := range s.Frontier() {
		best[b.Name] = true
	}
	var all []policyPoint
	for i, result := range s.Results {
		p := policyPoint{Name: plans[i].name, Saved: 100 * result.Saved(), Waits: 100 * result.Pain(), Plan: -1, Best: best[result.Name]}
		if i < len(r.plans) {
			p.Plan = i
		}
		all = append(all, p)
	}
	return all, nil
}

// give sets a workspace that is not made yet up as one of a plan.
func (f *fleet) give(s *lifecycle.Snapshot, p *plan, zone string) {
	s.Template = lifecycle.Template{ID: idOf("template %s", p.name), Name: p.name, Policy: p.policy}
	s.Workspace.TemplateID, s.Workspace.TTL = s.Template.ID, p.policy.DefaultTTL
	s.Workspace.Autostart, s.Workspace.Autostop = f.cron(p.autostart, zone), f.cron(p.autostop, zone)
	s.Owner.QuietHours = f.cron(p.quiet, zone)
}

// between are policies like those of the file with other times of the day, runs and patience.
func between(plans []plan) []plan {
	var all []plan
	base := plans[0]
	base.policy.Requirement.Days, base.quiet, base.autostop = 0, nil, nil
	for _, dormant := range []time.Duration{7 * 24 * time.Hour, 21 * 24 * time.Hour} {
		for _, start := range []*timeOfDay{nil, {8, 30}} {
			for _, run := range []time.Duration{2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour} {
				p := base
				p.autostart, p.policy.AllowUserAutostart = start, start != nil
				p.policy.DefaultTTL, p.policy.TimeTilDormant = run, dormant
				p.policy.ActivityBump = time.Hour
				p.name = "by hand"
				if start != nil {
					p.name = fmt.Sprintf("from %02d:%02d on working days", start.hour, start.minute)
				}
				p.name += fmt.Sprintf(", for %s, dormant after %s", short(run), short(dormant))
				all = append(all, p)
			}
		}
	}
	return all
}

// outcome says how a job goes, as take does.
func (w workers) outcome(s lifecycle.Snapshot) forecast.Outcome {
	b := &s.Build
	_, ends, o := w.take(&lifecycle.Job{WorkspaceID: s.Workspace.ID, BuildNumber: b.Number, Transition: b.Transition, CreatedAt: b.CreatedAt})
	return forecast.Outcome{Took: ends.Sub(b.CreatedAt), Status: o.status}
}

// byHours is the order in which the points of policies are joined.
func byHours(a, b policyPoint) int {
	return cmp.Or(cmp.Compare(a.Saved, b.Saved), cmp.Compare(a.Waits, b.Waits))
}
