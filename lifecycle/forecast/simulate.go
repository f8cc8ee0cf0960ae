package forecast

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Member is a workspace of a fleet and when its owner works, as it was recorded or is assumed. The life of a workspace
// that is created after the beginning begins with its creation. Sessions are in order and do not overlap.
type Member struct {
	Snapshot lifecycle.Snapshot
	Sessions []Session
}

// Candidate is what might be: other settings, or a pool.
type Candidate struct {
	Name string `json:"name"`
	// Set changes a workspace to what the candidate would make of it. It is called from several goroutines at once, on
	// copies. nil leaves things as they are. See [WithPolicy].
	Set func(*lifecycle.Snapshot) `json:"-"`
	// Pool holds ready workspaces for those who would wait for a start by hand. nil: no pool.
	Pool *PoolSizes `json:"pool,omitempty"`
}

// SimulateConfig says what is assumed. The zero value assumes builds that succeed after a minute, and no cost.
type SimulateConfig struct {
	// Assumptions are used as for [Upcoming], except Work, which each member brings.
	Assumptions
	// HourCost is what an hour of a running or pooled workspace costs, BuildCost a build, in the host's currency; 0 to 1e12.
	HourCost, BuildCost float64
	// Parallel is how many goroutines work. Defaults to the number of processors.
	Parallel int
}

// maxCost bounds what an hour or a build costs, so that no sum of them is infinite.
const maxCost = 1e12

func (c *SimulateConfig) validate() error {
	return cmp.Or(validCost("SimulateConfig.HourCost", c.HourCost), validCost("SimulateConfig.BuildCost", c.BuildCost), c.Assumptions.Validate())
}

func validCost(field string, cost float64) error {
	if !(cost >= 0 && cost <= maxCost) { // not the other way round: that would let NaN pass
		return invalid.New(field, cost, "must be between 0 and %v", maxCost)
	}
	return nil
}

// longestSpan is in years. Something is counted for each of its minutes, and no memory is enough for all there are.
const longestSpan = 10

// validSpan refuses an end that is not after its beginning, or too far from it, and instants of years that JSON cannot say.
func validSpan(from, until time.Time) error {
	if err := cmp.Or(schedule.ValidateInstant("from", from.UTC()), schedule.ValidateInstant("until", until.UTC())); err != nil {
		return err
	}
	if !until.After(from) {
		return invalid.New("until", until, "must be after from, %v", from)
	}
	if until.After(from.AddDate(longestSpan, 0, 0)) {
		return invalid.New("until", until, "must be at most %d years after from, %v", longestSpan, from)
	}
	return nil
}

// Simulation is what each candidate would have done.
type Simulation struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Results has one entry for each candidate, in their order.
	Results []Result `json:"results"`
}

// Result is what one candidate would have done to a fleet and its people.
type Result struct {
	Name       string `json:"name"`
	Workspaces int    `json:"workspaces"`
	// Hours is how long workspaces ran, AlwaysHours how long they would have if nothing ever stopped them, from a
	// workspace's first start on; UsedHours how much of Hours had somebody at work.
	Hours       float64 `json:"hours"`
	AlwaysHours float64 `json:"always_hours"`
	UsedHours   float64 `json:"used_hours"`
	// Sessions is how often somebody came to work. Cold counts those who found the workspace stopped, broken, dormant or
	// gone, and had to wait; Starting those whose workspace was on its way up by itself; First those who came for the first
	// time, whom no policy spares the wait.
	Sessions int `json:"sessions"`
	Cold     int `json:"cold"`
	Starting int `json:"starting"`
	First    int `json:"first"`
	// Interrupted counts the stops that would have hit somebody at work.
	Interrupted int `json:"interrupted"`
	// WaitedHours is how long people waited, First included.
	WaitedHours float64 `json:"waited_hours"`
	// Builds are all builds that were made, Failed those whose job failed.
	Builds int `json:"builds"`
	Failed int `json:"failed"`
	// Dormancies and Deletions count what the rules did; Returns how often somebody came back for what was gone, Woken for
	// what was dormant.
	Dormancies int `json:"dormancies"`
	Deletions  int `json:"deletions"`
	Returns    int `json:"returns"`
	Woken      int `json:"woken"`
	Reminders  int `json:"reminders"`
	// Stuck counts workspaces whose life could not go on; see [KindStuck].
	Stuck int `json:"stuck,omitempty"`
	// Herd is the most builds made in one minute, HerdAt the minute.
	Herd   int       `json:"herd"`
	HerdAt time.Time `json:"herd_at,omitzero"`
	// Claims are the starts by hand that asked the pool, Hits those it served, FirstHits those of them that were somebody's
	// first; PoolHours is how long workspaces waited in it.
	Claims    int     `json:"claims,omitempty"`
	Hits      int     `json:"hits,omitempty"`
	FirstHits int     `json:"first_hits,omitempty"`
	PoolHours float64 `json:"pool_hours,omitempty"`
	Cost      float64 `json:"cost,omitempty"`
	// ByHour is what the fleet did, hour by hour.
	ByHour []Hour `json:"by_hour,omitempty"`
}

// Saved is the part of AlwaysHours that was saved, 0 to 1.
func (r Result) Saved() float64 {
	if r.AlwaysHours == 0 {
		return 0
	}
	return 1 - (r.Hours+r.PoolHours)/r.AlwaysHours
}

// Pain is the share of sessions, first ones aside, that began with a wait for a start or were interrupted, 0 to 1. It
// may exceed 1 where sessions are interrupted several times.
func (r Result) Pain() float64 {
	if r.Sessions == r.First {
		return 0
	}
	return float64(r.waits()+r.Interrupted) / float64(r.Sessions-r.First)
}

// waits is how many had to wait whom the pool did not serve.
func (r Result) waits() int { return r.Cold - (r.Hits - r.FirstHits) }

// Simulate runs a fleet from one instant up to another under each candidate, with the activity that its members bring. It
// changes nothing. Members are read once, by one goroutine; those of a million need not be in memory at once.
//
// The time is linear in the members, the candidates, and what happens to each: about a microsecond for each build, end of
// a job, tick that finds something, and report of activity. The memory is 16 bytes for each minute and candidate, plus 16
// for each claim where a candidate has a pool, so until is at most ten years after from. The error names what in the arguments cannot
// be used.
func Simulate(fleet iter.Seq[Member], from, until time.Time, candidates []Candidate, c SimulateConfig) (Simulation, error) {
	if err := cmp.Or(c.validate(), validSpan(from, until)); err != nil {
		return Simulation{}, err
	}
	if len(candidates) == 0 {
		candidates = []Candidate{{Name: "as it is"}}
	}
	c.Assumptions = c.Assumptions.withDefaults()
	runs := make([]*trial, len(candidates))
	for i, k := range candidates {
		runs[i] = &trial{candidate: k, from: from.UTC(), until: until.UTC(), a: c.Assumptions, series: newSeries(from.UTC(), until.UTC())}
	}
	parallel(fleet, processors(c.Parallel), func(m Member) {
		for _, r := range runs {
			r.live(m)
		}
	})
	s := Simulation{From: from.UTC(), Until: until.UTC()}
	for _, r := range runs {
		s.Results = append(s.Results, r.result(&c))
	}
	return s, nil
}

// WithPolicy is a candidate that gives every workspace another policy at an instant, the beginning of the simulation, with
// the graces that such a change gives. A workspace that does not exist by then is created under it, with its default TTL
// where it had the old one's. The fleet should be that of one template.
func WithPolicy(name string, p lifecycle.Policy, at time.Time) (Candidate, error) {
	if err := p.Validate(); err != nil {
		return Candidate{}, err
	}
	return Candidate{Name: name, Set: func(s *lifecycle.Snapshot) { setPolicy(s, p, at) }}, nil
}

func setPolicy(s *lifecycle.Snapshot, p lifecycle.Policy, at time.Time) {
	if s.Workspace.CreatedAt.After(at) || s.Build.Number == 0 {
		if s.Workspace.TTL == s.Template.Policy.DefaultTTL {
			s.Workspace.TTL = p.DefaultTTL
		}
		s.Template.Policy = p
		return
	}
	plan, err := lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: p}, at)
	if err != nil {
		return // it was validated
	}
	apply(&plan, s)
}

// apply is what a policy plan makes of a workspace when it is applied, at the instant at which it was made. It leaves alone
// what is not of the plan's template, or of another revision of its policy.
func apply(p *lifecycle.PolicyPlan, s *lifecycle.Snapshot) {
	next, err := p.Next(s.Template)
	if err != nil || next.ID != p.Change.Template.ID {
		return
	}
	if change, _, ok := lifecycle.PlanPolicy(*s, p.Change, p.Change.At); ok {
		s.Workspace, s.Build = change.Workspace, change.Build
	}
	s.Template = next
}

// Frontier returns the candidates that no other beats, by hours: whoever saves more gives more pain.
func (s Simulation) Frontier() []Result {
	all := slices.Clone(s.Results)
	slices.SortStableFunc(all, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Hours+a.PoolHours, b.Hours+b.PoolHours), cmp.Compare(a.Pain(), b.Pain()))
	})
	var best []Result
	for _, r := range all {
		if len(best) == 0 || r.Pain() < best[len(best)-1].Pain() {
			best = append(best, r)
		}
	}
	return best
}
