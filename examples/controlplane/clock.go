//go:build linux

package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/simclock"
)

// anchor is the instant at which the real clock and that of the demonstration were set against each other. It is kept, so that
// replicas agree and time does not jump back at a restart.
type anchor struct {
	Real  time.Time `json:"real"`
	Shown time.Time `json:"shown"`
	Speed int       `json:"speed"`
}

// at is what the clock shows at a real instant.
func (a anchor) at(real time.Time) time.Time {
	return a.Shown.Add(time.Duration(a.Speed) * real.Sub(a.Real))
}

const anchorFact = "clock"

// openClock returns the clock by which workspaces live. Another speed than before begins where the clock stands; replicas must be
// started with the same one.
func openClock(ctx context.Context, db *records.DB, speed int) (quartz.Clock, error) {
	now := time.Now()
	kept, ok, err := db.Fact(ctx, anchorFact)
	if err != nil {
		return nil, err
	}
	a := anchor{Real: now, Shown: now, Speed: speed}
	if ok {
		var before anchor
		if err := json.Unmarshal([]byte(kept), &before); err != nil {
			return nil, err
		}
		if before.Speed == speed {
			a = before
		} else if shown := before.at(now); shown.After(now) {
			a.Shown = shown
		}
	}
	if !ok && speed == 1 {
		return quartz.NewReal(), nil
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if kept, err = db.KeepFact(ctx, anchorFact, string(text), ok); err != nil { // who is first with a new one decides
		return nil, err
	}
	if err := json.Unmarshal([]byte(kept), &a); err != nil {
		return nil, err
	}
	return simclock.Fast(ctx, a.at(time.Now()), a.Speed)
}
