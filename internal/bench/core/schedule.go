package core

import (
	"context"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/schedule"
)

// Schedule compares the next occurrence with the library that parses the schedules.
var Schedule = figure.Suite{Name: "schedule", Run: runSchedule}

const spec = "CRON_TZ=Europe/Berlin 30 9 * * 1-5"

func runSchedule(_ context.Context, r *figure.Recorder) error {
	ours, err := schedule.Weekly(spec)
	if err != nil {
		return err
	}
	theirs, err := cron.ParseStandard(spec)
	if err != nil {
		return err
	}
	const calls = 2000
	at := instants(calls)
	next := func() {
		for _, t := range at {
			sink = ours.Next(t)
		}
	}
	parsed := func() {
		for _, t := range at[:calls/10] {
			s, err := cron.ParseStandard(spec)
			if err != nil {
				panic(err) // it was parsed before
			}
			sink = s.Next(t)
		}
	}
	cached := func() {
		for _, t := range at {
			sink = theirs.Next(t)
		}
	}
	if r.Wants("schedule/next/parse") {
		a, b, ratio := pair(3, parsed, next)
		a, ratio = a*10, ratio*10
		r.AtLeast(200, "schedule/next/parse", ratio, "x", fmt.Sprintf("parse + Next of the library %v, Next %v", each(a, calls), each(b, calls)))
	}
	if r.Wants("schedule/next/cached") {
		a, b, ratio := pair(10, cached, next)
		r.AtLeast(20, "schedule/next/cached", ratio, "x", fmt.Sprintf("Next of the library %v, Next %v", each(a, calls), each(b, calls)))
	}
	return nil
}

func each(d time.Duration, n int) time.Duration { return d / time.Duration(n) }

// instants are spread over two years, so that changes of the clock are among them.
func instants(n int) []time.Time {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := make([]time.Time, n)
	for i := range at {
		at[i] = start.Add(time.Duration(i) * 2 * 365 * 24 * time.Hour / time.Duration(n))
	}
	return at
}
