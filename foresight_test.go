package dormouse_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// What is foretold of a workspace is what then happens to it, and what a calendar and people are told.
func TestUpcoming(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.SetSchedule(f.t.Context(), w.ID, dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-17:00"})
		f.must(err)
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		steps, err := f.Upcoming(f.t.Context(), w.ID, 0)
		f.must(err)
		if len(steps) != 10 || steps[0].At.Before(time.Now()) {
			t.Fatalf("%d steps, the first at %v", len(steps), steps[0].At)
		}
		var stop forecast.Step
		for _, s := range steps {
			if s.Transition == lifecycle.TransitionStop && s.Kind == forecast.KindBuild {
				stop = s
				break
			}
		}
		time.Sleep(time.Until(stop.At) + 2*time.Minute)
		f.wait(time.Minute)
		f.want(w.ID, lifecycle.StatusStopped, 2)
		builds, err := f.Builds(f.t.Context(), w.ID, 0, 1)
		f.must(err)
		if at := builds[0].CreatedAt; at.Sub(stop.At).Abs() > time.Minute {
			t.Errorf("stopped at %v, foretold was %v", at, stop.At)
		}
		calendar, err := f.Calendar(f.t.Context(), w.ID, 3)
		f.must(err)
		if n := strings.Count(string(calendar), "BEGIN:VEVENT"); n != 3 {
			t.Errorf("%d events in the calendar, want 3", n)
		}
	})
}

// A plan is compared over the weeks and warns; a fleet is foretold and simulated; all of it reads every page.
func TestForesightOfAFleet(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		for _, name := range []string{"a", "b", "c"} {
			w := f.create(name)
			_, err := f.Start(f.t.Context(), w.ID)
			f.must(err)
			f.wait(time.Minute)
			f.want(w.ID, lifecycle.StatusRunning, 1)
		}
		now := time.Now()
		policy := dormouse.Policy{DefaultTTL: time.Hour, TimeTilDormant: 24 * time.Hour, TimeTilAutodelete: time.Hour, AllowUserTTL: true}
		plan, err := f.Plan(f.t.Context(), f.template.ID, dormouse.PolicyChange{PolicyTerms: lifecycle.PolicyTerms{}, Policy: policy})
		f.must(err)
		if plan.Workspaces != 3 || len(plan.Warnings) == 0 {
			t.Errorf("%d workspaces, warnings %v", plan.Workspaces, plan.Warnings)
		}
		compared, err := f.ComparePlan(f.t.Context(), plan, time.Time{}, forecast.PlanConfig{})
		f.must(err)
		if compared.Affected != 3 {
			t.Errorf("%d workspaces affected, want 3", compared.Affected)
		}
		learned := forecast.Learn(now, func(func(forecast.Past) bool) {}, func(func(lifecycle.Build) bool) {})
		outlook, err := f.Forecast(f.t.Context(), learned, now.Add(24*time.Hour), forecast.ForecastConfig{Draws: 2})
		f.must(err)
		if len(outlook.Hours) != 24 {
			t.Errorf("%d hours foretold, want 24", len(outlook.Hours))
		}
		seen := 0
		_, err = f.Simulate(f.t.Context(), func(dormouse.Workspace) []forecast.Session { seen++; return nil },
			now, now.Add(24*time.Hour), []forecast.Candidate{{Name: "as it is"}}, forecast.SimulateConfig{})
		f.must(err)
		if seen < 3 {
			t.Errorf("%d workspaces simulated, want 3", seen)
		}
		done, err := f.Apply(f.t.Context(), plan, nil)
		f.must(err)
		if !done.Done || len(done.Warnings) != len(plan.Warnings) {
			t.Errorf("applied: %+v", done)
		}
	})
}

// Whoever writes a template or creates a workspace is told what will not do what it seems to.
func TestSettingsWarn(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		put, err := f.PutTemplate(f.t.Context(), dormouse.Template{Name: "odd", Policy: dormouse.Policy{
			TimeTilDormant: time.Hour, TimeTilAutodelete: time.Hour, DefaultTTL: 2 * time.Hour, AllowUserTTL: true, AllowUserAutostart: true,
			AutostartDays: schedule.AllDays,
		}})
		f.must(err)
		if len(put.Warnings) == 0 {
			t.Error("a policy that deletes before anybody is told has no warning")
		}
		w, err := f.Create(f.t.Context(), dormouse.NewWorkspace{
			Name: "early", Owner: "ann", Template: put.ID, Hours: "Europe/Berlin Mon-Fri 09:00-18:00", TTL: time.Hour,
		})
		f.must(err)
		if len(w.Warnings) == 0 {
			t.Error("hours that the TTL cuts short have no warning")
		}
	})
}

func TestForesightRefusals(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		for name, call := range map[string]func() error{
			"negative": func() error { _, err := f.Upcoming(f.t.Context(), w.ID, -1); return err },
			"too many": func() error { _, err := f.Calendar(f.t.Context(), w.ID, 1_000_000); return err },
			"no behavior": func() error {
				_, err := f.Forecast(f.t.Context(), nil, time.Now(), forecast.ForecastConfig{})
				return err
			},
			"no sessions": func() error {
				_, err := f.Simulate(f.t.Context(), nil, time.Now(), time.Now(), nil, forecast.SimulateConfig{})
				return err
			},
		} {
			if err := call(); !errors.Is(err, invalid.Err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.Upcoming(f.t.Context(), uuid.New(), 1); !errors.Is(err, lifecycle.ErrNotFound) {
			t.Errorf("unknown workspace: %v", err)
		}
	})
}
