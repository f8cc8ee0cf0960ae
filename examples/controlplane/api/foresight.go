package api

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/doctor"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// Why says what happens to a workspace, when and why.
type Why = dormouse.Explanation

// Ahead is what will happen, as values and in words.
type Ahead struct {
	Steps []forecast.Step `json:"steps"`
	Text  []string        `json:"text"`
}

// Trial is a policy to try on what was recorded.
type Trial struct {
	Name   string          `json:"name"`
	Policy dormouse.Policy `json:"policy"`
}

// Simulate asks what policies would have done.
type Simulate struct {
	Candidates []Trial   `json:"candidates"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	HourCost   float64   `json:"hour_cost,omitempty"`
}

// Bounds of what one may ask to be computed.
const (
	longestForecast   = 31 * 24 * time.Hour
	longestSimulation = 92 * 24 * time.Hour
	mostCandidates    = 8
)

func (a *API) foresightRoutes() []route {
	count := []param{{"n", "how many, 10 if it is left out"}}
	return []route{
		{method: "GET", path: "/workspaces/{id}/explain", summary: "what happens to it, when and why, for every rule", who: people, out: typeOf[Why](), do: a.of(func(q *request, w dormouse.Workspace) (any, error) {
			return a.Plane.Explain(q.Context(), w.ID)
		})},
		{method: "GET", path: "/workspaces/{id}/upcoming", summary: "what will happen to it if nobody does anything", who: people, out: typeOf[Ahead](), query: count, do: a.of(a.upcoming)},
		{method: "GET", path: "/workspaces/{id}/calendar.ics", summary: "the same for a calendar", who: people, query: count, do: a.of(func(q *request, w dormouse.Workspace) (any, error) {
			n, err := q.number("n")
			if err != nil {
				return nil, err
			}
			body, err := a.Plane.Calendar(q.Context(), w.ID, int(n))
			return text{"text/calendar; charset=utf-8", body}, err
		})},
		{
			method: "GET", path: "/forecast", summary: "how many workspaces will run, hour by hour, with a band once people are known", who: admins, out: typeOf[forecast.Outlook](), do: a.forecast, calls: time.Minute,
			query: []param{{"until", "an instant, at most 31 days ahead; a week if it is left out"}},
		},
		{method: "POST", path: "/simulate", summary: "what policies would have done with the runs that were", who: admins, in: typeOf[Simulate](), out: typeOf[forecast.Simulation](), do: with(a.simulate), calls: 2 * time.Minute},
		{method: "GET", path: "/doctor", summary: "what is wrong: schema, clocks, overdue, unmatched and refused jobs, calls that fail, leases", who: admins, out: typeOf[doctor.Report](), do: func(q *request) (any, error) {
			return doctor.Examine(q.Context(), a.Plane, a.Store, a.now()), nil
		}},
	}
}

func (a *API) upcoming(q *request, w dormouse.Workspace) (any, error) {
	n, err := q.number("n")
	if err != nil {
		return nil, err
	}
	steps, err := a.Plane.Upcoming(q.Context(), w.ID, int(n))
	if err != nil {
		return nil, err
	}
	ahead := Ahead{Steps: steps, Text: make([]string, len(steps))}
	for i, s := range steps {
		ahead.Text[i] = s.String()
	}
	return ahead, nil
}

func (a *API) forecast(q *request) (any, error) {
	now := a.now()
	until, err := q.instant("until")
	switch {
	case err != nil:
		return nil, err
	case until.IsZero():
		until = now.Add(7 * 24 * time.Hour)
	case !until.After(now) || until.Sub(now) > longestForecast:
		return nil, invalid.New("until", until, "must be in the future, and at most %s ahead", longestForecast)
	}
	return a.Plane.Forecast(q.Context(), a.people(now), until, planesource.ForecastConfig())
}

// people is what is known of them, which may be nothing.
func (a *API) people(now time.Time) *forecast.Behavior {
	if a.Behavior != nil {
		if b := a.Behavior(); b != nil {
			return b
		}
	}
	return forecast.Learn(now, func(func(forecast.Past) bool) {}, func(func(lifecycle.Build) bool) {})
}

// simulate takes the runs that were for the times in which people worked: it says what other policies would have cut off.
func (a *API) simulate(q *request, in Simulate) (any, error) {
	switch {
	case len(in.Candidates) == 0 || len(in.Candidates) > mostCandidates:
		return nil, invalid.New("candidates", len(in.Candidates), "must be 1 to %d", mostCandidates)
	case !in.Until.After(in.From) || in.Until.Sub(in.From) > longestSimulation:
		return nil, invalid.New("until", in.Until, "must be after from, and at most %s later", longestSimulation)
	}
	stored, err := a.storedRules(q.Context())
	if err != nil {
		return nil, err
	}
	candidates := []forecast.Candidate{{Name: "as it is"}}
	for _, c := range in.Candidates {
		if err := cmp.Or(validName("candidates.name", c.Name), known("candidates.policy", c.Policy, stored)); err != nil {
			return nil, err
		}
		candidate, err := forecast.WithPolicy(c.Name, c.Policy, in.From)
		if err != nil {
			return nil, invalid.Within("candidates", err)
		}
		candidates = append(candidates, candidate)
	}
	var failed error
	sessions := func(w dormouse.Workspace) []forecast.Session {
		list, err := a.runs(q.Context(), w.ID, in.From)
		if err != nil {
			failed = err
		}
		return list
	}
	s, err := a.Plane.Simulate(q.Context(), sessions, in.From, in.Until, candidates, forecast.SimulateConfig{HourCost: in.HourCost})
	if err == nil {
		err = failed
	}
	return s, err
}

// storedRules are the members of the policies of all templates that this version does not know.
func (a *API) storedRules(ctx context.Context) ([]string, error) {
	var names []string
	for after := uuid.Nil; ; {
		page, err := a.Plane.Templates(ctx, after, templatePage)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			names = append(names, t.Policy.Unknown()...)
		}
		if len(page) < templatePage {
			return names, nil
		}
		after = page[len(page)-1].ID
	}
}

// runs are the times in which a workspace ran since an instant.
func (a *API) runs(ctx context.Context, id uuid.UUID, since time.Time) (list []forecast.Session, err error) {
	builds, err := a.Store.Builds(ctx, id, 0, 1000)
	if err != nil {
		return nil, err
	}
	end := a.now()
	for _, b := range builds { // the latest first
		switch {
		case b.Status != lifecycle.JobSucceeded || b.CompletedAt.IsZero():
		case b.Transition == lifecycle.TransitionStart && b.CompletedAt.Before(end):
			list = append(list, forecast.Session{Begin: b.CompletedAt, End: end})
		}
		end = b.CreatedAt
		if end.Before(since) {
			break
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, nil
}
