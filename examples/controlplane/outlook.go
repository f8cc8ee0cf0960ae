//go:build linux

package main

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// outlook is what the pages show around their own forecast: what ran last week, and the band within which people make things go. It
// notes every minute how many workspaces run, and makes a forecast once an hour.
type outlook struct {
	plane   *dormouse.Plane
	records *records.DB
	clock   quartz.Clock
	log     *slog.Logger
	latest  atomic.Pointer[forecast.Outlook]
}

const (
	outlookDays  = 7 * 24 * time.Hour
	learnFrom    = 28 * 24 * time.Hour
	mostLearned  = 200_000 // events
	forecastEach = 60      // notes
)

func (o *outlook) run(ctx context.Context, every time.Duration) error {
	ticker := o.clock.NewTicker(every, "outlook")
	defer ticker.Stop()
	for n := 0; ; n++ {
		err := o.note(ctx)
		if err == nil && n%forecastEach == 0 {
			err = o.foretell(ctx)
		}
		if err != nil && ctx.Err() == nil {
			o.log.WarnContext(ctx, "no outlook this time", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (o *outlook) note(ctx context.Context) error {
	counts, err := o.plane.Count(ctx, dormouse.CountQuery{})
	if err != nil {
		return err
	}
	return o.records.NoteRunning(ctx, o.clock.Now(), counts[lifecycle.StatusRunning])
}

func (o *outlook) foretell(ctx context.Context) error {
	now := o.clock.Now()
	people, err := o.people(ctx, now.Add(-learnFrom))
	if err != nil {
		return err
	}
	nothing := func(func(lifecycle.Build) bool) {}
	behavior := forecast.Learn(now, people, nothing)
	made, err := o.plane.Forecast(ctx, behavior, now.Add(outlookDays), forecast.ForecastConfig{NoNewcomers: true})
	if err == nil {
		o.latest.Store(&made)
	}
	return err
}

// people are those who work in workspaces, by what is known of their use: starts by hand, and work that moved a stop.
func (o *outlook) people(ctx context.Context, since time.Time) (iter.Seq[forecast.Past], error) {
	uses := make(map[uuid.UUID][]time.Time)
	read := 0
	for seq := int64(0); read < mostLearned; {
		page, err := o.records.EventsAfter(ctx, seq, uuid.Nil, 1000)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			seq, read = e.Seq, read+1
			if e.At.After(since) && isUse(e) {
				uses[e.Workspace] = append(uses[e.Workspace], e.At)
			}
		}
		if len(page) < 1000 {
			break
		}
	}
	return func(yield func(forecast.Past) bool) {
		for _, id := range slices.SortedFunc(maps.Keys(uses), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
			slices.SortFunc(uses[id], time.Time.Compare)
			if !yield(forecast.Past{Who: id, Location: time.Local, Sessions: forecast.Sessions(uses[id], 0, 30*time.Minute)}) {
				return
			}
		}
	}, nil
}

func isUse(e records.Event) bool {
	switch lifecycle.EventKind(e.Kind) {
	case lifecycle.EventExtended:
		return true
	case lifecycle.EventBuildQueued:
		var ev dormouse.Event
		return json.Unmarshal(e.Body, &ev) == nil && ev.Reason == lifecycle.ReasonManual && ev.Transition == lifecycle.TransitionStart
	}
	return false
}

// Outlook implements [webui.Oracle].
func (o *outlook) Outlook(context.Context) (*forecast.Outlook, error) { return o.latest.Load(), nil }

// Ran implements [webui.Oracle].
func (o *outlook) Ran(ctx context.Context, from time.Time, hours int) ([]int, error) {
	return o.records.Ran(ctx, from, hours)
}
