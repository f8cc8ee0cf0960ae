//go:build linux

package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
)

const (
	// rememberEvery is how often the journal reads what happened, in whichever replica.
	rememberEvery = 2 * time.Second
	rememberPage  = 1000
	// learnEvery is how often a forecast is made of it for the pages.
	learnEvery = time.Hour
)

// remember feeds the journal of the pages from the table of events: it is in memory, and so has what was before this process and what
// other replicas were told. Once an hour it makes a forecast of it.
func (s *server) remember(ctx context.Context) error {
	var seq int64
	var learned time.Time
	for {
		next, err := s.read(ctx, seq)
		if err == nil && (learned.IsZero() || s.clock.Since(learned) > s.slow(learnEvery)) {
			learned = s.clock.Now()
			err = s.source.Learn(ctx, learned)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the pages do not know what happened", "error", err)
		}
		if more := next > seq && err == nil; more {
			seq = next
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rememberEvery):
		}
	}
}

// read puts a page of events into the journal and returns the number of the last.
func (s *server) read(ctx context.Context, seq int64) (int64, error) {
	page, err := s.db.records.EventsAfter(ctx, seq, uuid.Nil, rememberPage)
	for _, e := range page {
		seq = e.Seq
		var ev dormouse.Event
		if json.Unmarshal(e.Body, &ev) == nil {
			if err := s.journal.Record(ctx, ev); err != nil {
				return seq, err
			}
		}
	}
	return seq, err
}
