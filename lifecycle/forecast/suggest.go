package forecast

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
	"github.com/dormouse-go/dormouse/schedule"
)

// SuggestConfig says what suggestions aim at.
type SuggestConfig struct {
	SimulateConfig
	// Price is how many hours of running one spared wait is worth. Defaults to 30.
	Price float64
	// Pain, if above 0, chooses the price: the lowest one at which no larger share of sessions has to wait or is cut off. If
	// none does, the highest one is taken.
	Pain float64
}

// prices are tried where a pain is asked for.
var prices = []float64{5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480}

// Usage is what one way of running a workspace costs and spares.
type Usage struct {
	Hours float64 `json:"hours"`
	// Sessions is how often somebody came, Waits how often they had to wait for a start or were cut off.
	Sessions int `json:"sessions"`
	Waits    int `json:"waits"`
}

// Suggestion is working hours for one workspace, with the figures that argue for them. Nothing is applied.
type Suggestion struct {
	WorkspaceID uuid.UUID    `json:"workspace_id"`
	Workspace   string       `json:"workspace"`
	Hours       WorkingHours `json:"hours"`
	// Autostart and TTL are the settings: for [lifecycle.SetAutostart] and [lifecycle.SetTTL].
	Autostart string        `json:"autostart,omitempty"`
	TTL       time.Duration `json:"ttl"`
	// Needs names what the template has to allow for it, empty if it does.
	Needs []string `json:"needs,omitempty"`
	// Days is how many days were looked at. Now is what the workspace did in them as it is set, Then what it would have done.
	Days float64 `json:"days"`
	Now  Usage   `json:"now"`
	Then Usage   `json:"then"`
}

// String argues for the suggestion in a sentence.
func (s Suggestion) String() string {
	saved := (s.Now.Hours - s.Then.Hours) / max(s.Days, 1)
	verb := "saves"
	if saved < 0 {
		saved, verb = -saved, "adds"
	}
	line := fmt.Sprintf("%s: %s: %s %.1f h a day and would have kept you waiting in %s of %s within %s (as it is: in %s)", s.Workspace, s.Hours, verb, saved,
		none(s.Then.Waits), text.Count(s.Then.Sessions, "session", "sessions"), text.Count(int(s.Days+.5), "day", "days"), none(s.Now.Waits))
	if len(s.Needs) > 0 {
		line += "; needs " + strings.Join(s.Needs, ", ")
	}
	return line
}

func none(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// Suggest proposes working hours for each workspace of a fleet, learned from behavior, and says what they would have done
// from one instant up to another with the activity that the members bring. To be honest about the future, behavior should
// have been learned before from.
//
// Workspaces of whom no behavior is known, dormant ones, and those of a warm pool get none. The order is that of the
// fleet. Time is linear in the members, and thirteen-fold where Pain is asked for.
func Suggest(fleet iter.Seq[Member], b *Behavior, from, until time.Time, c SuggestConfig) ([]Suggestion, error) {
	if err := c.validate(from, until); err != nil {
		return nil, err
	}
	if c.Price == 0 {
		c.Price = 30
	}
	if c.Pain <= 0 {
		return suggestAt(fleet, b, from, until, c), nil
	}
	members := slices.Collect(fleet)
	var all []Suggestion
	for _, c.Price = range prices {
		all = suggestAt(slices.Values(members), b, from, until, c)
		if painOf(all) <= c.Pain {
			break
		}
	}
	return all, nil
}

func (c SuggestConfig) validate(from, until time.Time) error {
	switch {
	case !(c.Price >= 0): // not < 0: that would let NaN pass
		return invalid.New("SuggestConfig.Price", c.Price, "must not be negative")
	case !(c.Pain >= 0 && c.Pain <= 1):
		return invalid.New("SuggestConfig.Pain", c.Pain, "must be between 0 and 1")
	}
	return cmp.Or(validSpan(from, until), c.SimulateConfig.validate())
}

// painOf is the share of sessions that would wait under the suggestions.
func painOf(all []Suggestion) float64 {
	waits, sessions := 0, 0
	for _, s := range all {
		waits, sessions = waits+s.Then.Waits, sessions+s.Then.Sessions
	}
	return float64(waits) / float64(max(sessions, 1))
}

// planners are those of the policies of a fleet.
type planners struct {
	b    *Behavior
	mu   sync.Mutex
	made map[[2]time.Duration]*Planner
}

func (p *planners) of(policy *lifecycle.Policy) *Planner {
	c := [...]time.Duration{policy.TimeTilDormant, policy.ActivityBump}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made[c] == nil {
		p.made[c] = p.b.Planner(*policy)
	}
	return p.made[c]
}

func suggestAt(fleet iter.Seq[Member], b *Behavior, from, until time.Time, c SuggestConfig) []Suggestion {
	from, until = from.UTC(), until.UTC()
	a := c.Assumptions.withDefaults()
	p := &planners{b: b, made: map[[2]time.Duration]*Planner{}}
	trial := func() *trial { return &trial{from: from, until: until, a: a, series: newSeries(from, until)} }
	now, then := trial(), trial()
	type numbered struct {
		n int
		m Member
	}
	var mu sync.Mutex
	found := map[int]Suggestion{}
	all := func(yield func(numbered) bool) {
		n := 0
		for m := range fleet {
			if n++; !yield(numbered{n, m}) {
				return
			}
		}
	}
	parallel(all, processors(c.Parallel), func(v numbered) {
		s, ok := suggest(p, v.m, now, then, c.Price)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		found[v.n] = s
	})
	var list []Suggestion
	for n := 1; len(list) < len(found); n++ {
		if s, ok := found[n]; ok {
			list = append(list, s)
		}
	}
	return list
}

// suggest proposes hours for one workspace and tries them.
func suggest(p *planners, m Member, now, then *trial, price float64) (Suggestion, bool) {
	w := &m.Snapshot.Workspace
	h := p.b.habitOf(&m.Snapshot)
	if h == nil || w.Managed || w.Deleted || !w.DormantAt.IsZero() {
		return Suggestion{}, false
	}
	hours := p.of(&m.Snapshot.Template.Policy).hours(h, price)
	hours.Who = w.ID
	s := Suggestion{
		WorkspaceID: w.ID, Workspace: text.Name(&m.Snapshot), Hours: hours, Autostart: hours.Spec(), TTL: hours.TTL(),
		Needs: needs(&m.Snapshot.Template.Policy, hours), Days: now.until.Sub(now.from).Hours() / 24, Now: now.usage(m),
	}
	if err := hours.set(&m.Snapshot); err != nil {
		return Suggestion{}, false
	}
	s.Then = then.usage(m)
	return s, true
}

// usage is what a workspace does in a trial.
func (t *trial) usage(m Member) Usage {
	r := newResident(t, m)
	r.live()
	return Usage{Hours: hoursOf(r.ran), Sessions: r.sessions - r.first, Waits: r.cold + r.interrupted}
}

// needs names what a policy has to allow for hours to work.
func needs(p *lifecycle.Policy, w WorkingHours) []string {
	var all []string
	for _, n := range []struct {
		name string
		ok   bool
	}{
		{"Policy.AllowUserTTL", p.AllowUserTTL},
		{"Policy.AllowUserAutostart", p.AllowUserAutostart || !w.Any()},
		{"Policy.AutostartDays with " + w.Days.String(), p.AutostartDays&w.Days == w.Days},
		{"Policy.ExtendAtAutostart", p.ExtendAtAutostart || !w.Any()},
	} {
		if !n.ok {
			all = append(all, n.name)
		}
	}
	return all
}

// set gives a workspace the hours and what they need.
func (w WorkingHours) set(s *lifecycle.Snapshot) error {
	s.Workspace.Autostart, s.Workspace.TTL = nil, w.TTL()
	p := &s.Template.Policy
	p.AllowUserTTL = true
	if !w.Any() {
		return nil
	}
	p.AllowUserAutostart, p.ExtendAtAutostart, p.AutostartDays = true, true, p.AutostartDays|w.Days
	cron, err := schedule.Weekly(w.Spec())
	s.Workspace.Autostart = cron
	return err
}
