package dormouse_test

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store/memory"
)

// afterAll is an instant that no store keeps.
var afterAll = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

// holds are those of templates and of everything.
func holds(refused refusedFunc, fails failsFunc) {
	tomorrow := time.Now().Add(24 * time.Hour)
	for field, h := range map[string]dormouse.Hold{
		"Hold.Until": {Until: afterAll}, "Hold.Rules": {Until: tomorrow, Rules: 0xff},
		"Hold.Note": {Until: tomorrow, Note: long}, "Hold.By": {Until: tomorrow, By: long},
	} {
		refused(field, "template held with a bad "+field, func(h2 *harmed) error { return h2.HoldTemplate(h2, h2.template.ID, h) })
		refused("Engine."+field, "everything held with a bad "+field, func(h2 *harmed) error { return h2.HoldAll(h2, h) })
	}
	for name, text := range texts {
		refused("note", "everything held with the note "+name, func(h *harmed) error {
			return h.HoldAll(h, dormouse.Hold{Until: tomorrow}, dormouse.Note(text))
		})
		refused("actor", "template held by "+name, func(h *harmed) error {
			return h.HoldTemplate(h, h.template.ID, dormouse.Hold{Until: tomorrow}, dormouse.By(text))
		})
	}
	fails(lifecycle.ErrNotFound, "hold of an unknown template", func(h *harmed) error {
		return h.HoldTemplate(h, uuid.New(), dormouse.Hold{Until: tomorrow})
	})
}

func observations(refused refusedFunc, fails failsFunc, accepted acceptedFunc) {
	old := func(h *harmed) dormouse.Adopted {
		return dormouse.Adopted{Workspace: dormouse.NewWorkspace{ID: uuid.New(), Template: h.template.ID, Owner: "ann", Name: "old"}}
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	for field, change := range map[string]func(*dormouse.Adopted){
		"Adopted.Workspace.ID":        func(a *dormouse.Adopted) { a.Workspace.ID = uuid.Nil },
		"Adopted.LastUsedAt":          func(a *dormouse.Adopted) { a.LastUsedAt = tomorrow },
		"Adopted.NewWorkspace.Name":   func(a *dormouse.Adopted) { a.Workspace.Name = "a\x00b" },
		"Adopted.NewWorkspace.Hours":  func(a *dormouse.Adopted) { a.Workspace.Hours = "always" },
		"Adopted.Observation.Since":   func(a *dormouse.Adopted) { a.Seen.Since = tomorrow },
		"Adopted.Observation.Deleted": func(a *dormouse.Adopted) { a.Seen = dormouse.Observation{Running: true, Deleted: true} },
	} {
		refused(field, "adopted with a bad "+field, func(h *harmed) error {
			a := old(h)
			change(&a)
			_, err := h.Adopt(h, a)
			return err
		})
	}
	refused("Observation.Since", "gone since the year 10000", func(h *harmed) error {
		_, err := h.Observe(h, h.running.ID, dormouse.Observation{Since: afterAll})
		return err
	})
	refused("Observation.Since", "gone since tomorrow", func(h *harmed) error {
		_, err := h.Observe(h, h.running.ID, dormouse.Observation{Since: tomorrow})
		return err
	})
	fails(lifecycle.ErrNotFound, "what nobody knows is gone", func(h *harmed) error {
		_, err := h.Observe(h, uuid.New(), dormouse.Observation{})
		return err
	})
	accepted("what was gone before it was started says nothing about what runs", "gone since long ago", func(h *harmed) error {
		_, err := h.Observe(h, h.running.ID, dormouse.Observation{Since: time.Unix(0, 0)})
		return err
	})
	refused("Config.Shadow", "told of another scheduler", func(h *harmed) error {
		_, err := h.Acted(h, h.running.ID, lifecycle.TransitionStop, time.Now())
		return err
	})
	refused("transition", "told of something else", func(h *harmed) error {
		_, err := h.Acted(h, h.running.ID, 99, time.Now())
		return err
	})
}

func foresight(refused refusedFunc, fails failsFunc) {
	for _, n := range []int{-1, math.MinInt, 1001, math.MaxInt} {
		refused("n", fmt.Sprint("the next ", n), func(h *harmed) error { _, err := h.Upcoming(h, h.running.ID, n); return err })
		refused("n", fmt.Sprint("calendar of ", n), func(h *harmed) error { _, err := h.Calendar(h, h.running.ID, n); return err })
	}
	for name, until := range map[string]time.Time{"yesterday": time.Now().Add(-24 * time.Hour), "the year 9000": time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		refused("until", "forecast until "+name, func(h *harmed) error {
			_, err := h.Forecast(h, &forecast.Behavior{}, until, forecast.ForecastConfig{})
			return err
		})
		refused("until", "simulation until "+name, func(h *harmed) error {
			nobody := func(dormouse.Workspace) []forecast.Session { return nil }
			_, err := h.Simulate(h, nobody, time.Now(), until, nil, forecast.SimulateConfig{})
			return err
		})
		refused("until", "plan compared until "+name, func(h *harmed) error {
			plan, err := h.Plan(h, h.template.ID, dormouse.PolicyChange{Policy: policy})
			if err != nil {
				return err
			}
			_, err = h.ComparePlan(h, plan, until, forecast.PlanConfig{})
			return err
		})
	}
	refused("behavior", "a forecast of nobody", func(h *harmed) error {
		_, err := h.Forecast(h, nil, time.Now().Add(time.Hour), forecast.ForecastConfig{})
		return err
	})
	refused("sessions", "a simulation without sessions", func(h *harmed) error {
		_, err := h.Simulate(h, nil, time.Now(), time.Now().Add(time.Hour), nil, forecast.SimulateConfig{})
		return err
	})
	fails(lifecycle.ErrNotFound, "the zero plan compared", func(h *harmed) error {
		_, err := h.ComparePlan(h, dormouse.PolicyPlan{}, time.Time{}, forecast.PlanConfig{})
		return err
	})
	for name, id := range map[string]uuid.UUID{"the nil id": uuid.Nil, "an unknown id": uuid.New()} {
		fails(lifecycle.ErrNotFound, "upcoming of "+name, func(h *harmed) error { _, err := h.Upcoming(h, id, 1); return err })
		fails(lifecycle.ErrNotFound, "calendar of "+name, func(h *harmed) error { _, err := h.Calendar(h, id, 1); return err })
	}
}

// fleets are pools, which this plane does not have, and builds of everybody.
func fleets(refused refusedFunc, fails failsFunc) {
	for field, q := range map[string]dormouse.BuildQuery{
		"BuildQuery.Limit": {Limit: 1001}, "BuildQuery.Statuses": {Statuses: []lifecycle.JobStatus{99}},
		"BuildQuery.BeforeID": {BeforeID: uuid.Max}, "BuildQuery.Since": {Since: afterAll}, "BuildQuery.Before": {Before: afterAll, BeforeID: uuid.Max},
	} {
		refused(field, "builds with a bad "+field, func(h *harmed) error { _, err := h.FleetBuilds(h, q); return err })
	}
	for name, text := range merge(texts, empties) {
		refused("Claim.Pool", "claim of the pool "+name, func(h *harmed) error {
			_, err := h.Claim(h, dormouse.Claim{Pool: text, Workspace: dormouse.NewWorkspace{Owner: "ann"}})
			return err
		})
	}
	for field, pool := range map[string]dormouse.Pool{
		"Config.Pools[0].Size":          {Name: "a", TemplateName: "t", Size: -1},
		"Config.Pools[0].Busy[0].Hours": {Name: "a", TemplateName: "t", Busy: []dormouse.PoolHours{{Hours: "always", Size: 1}}},
		"Config.Pools[0].Template":      {Name: "a"},
		"Config.Pools[0].TemplateName":  {Name: "a", TemplateName: "t", Template: uuid.New()},
	} {
		refused(field, "a pool with a bad "+field, func(h *harmed) error {
			_, err := dormouse.New(memory.New(), dormouse.Config{Pools: []dormouse.Pool{pool}})
			return err
		})
	}
	fails(lifecycle.ErrNotFound, "cancel of what nobody knows", func(h *harmed) error { _, err := h.Cancel(h, uuid.New()); return err })
}
