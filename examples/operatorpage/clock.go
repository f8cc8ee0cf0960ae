package main

import (
	"time"

	"github.com/coder/quartz"
)

// fastClock is the real clock, whose instants pass faster from an instant on. Waiting takes as long as ever.
type fastClock struct {
	quartz.Clock
	began time.Time
	speed int
}

func newFastClock(began time.Time, speed int) *fastClock {
	return &fastClock{quartz.NewReal(), began, max(1, speed)}
}

func (c *fastClock) Now(...string) time.Time {
	return c.began.Add(time.Duration(c.speed) * time.Since(c.began))
}
