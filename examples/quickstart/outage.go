package main

import (
	"errors"
	"strings"
	"time"
)

// outage is a time in which no executor runs. The zero value is none.
type outage struct{ from, until time.Time }

// set reads an instant and a duration.
func (o *outage) set(text string) error {
	from, length, _ := strings.Cut(text, "/")
	at, err := time.Parse(time.RFC3339, from)
	d, err2 := parseSpan(length)
	if err != nil || err2 != nil || d == 0 {
		return errors.New("must be an instant and a duration, such as 2026-05-12T05:00:00Z/6h")
	}
	o.from, o.until = at.UTC(), at.UTC().Add(d)
	return nil
}

func (o *outage) covers(t time.Time) bool { return !t.Before(o.from) && t.Before(o.until) }
