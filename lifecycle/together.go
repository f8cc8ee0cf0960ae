package lifecycle

import (
	"errors"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// Together joins verbs into one change, which is committed as a whole or not at all: a schedule and the start that goes with
// it, say. Each sees what those before it have made; one that has nothing to change is passed over. At most one of them may
// make a build. The error is that of the first that fails.
//
// Events of one kind and topic become one, since a change has one of each ([Event.Key]): their messages are joined.
func Together(verbs ...Verb) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		joined, err := Change{}, ErrUnchanged
		for _, v := range verbs {
			if v == nil {
				return Change{}, invalid.New("verbs", nil, "must not be nil")
			}
			next, failed := v(s, now)
			switch {
			case errors.Is(failed, ErrUnchanged):
				continue
			case failed != nil:
				return Change{}, failed
			case joined.NewBuild && next.NewBuild:
				return Change{}, invalid.New("verbs", len(verbs), "must make at most one build together")
			}
			next.Events = joinEvents(joined.Events, next.Events)
			next.NewBuild = joined.NewBuild || next.NewBuild
			joined, err = next, nil
			s.Workspace, s.Build = next.Workspace, next.Build
		}
		return joined, err
	}
}

// joinEvents adds events to others of the same change.
func joinEvents(events, more []Event) []Event {
	events = slices.Clone(events)
	for _, e := range more {
		i := slices.IndexFunc(events, func(o Event) bool { return o.Kind == e.Kind && o.Topic == e.Topic })
		if i < 0 {
			events = append(events, e)
			continue
		}
		e.Message = cutMessage(joinTexts(events[i].Message, e.Message))
		events[i] = e
	}
	return events
}

func joinTexts(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
