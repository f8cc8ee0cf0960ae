package planesource

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store"
)

// The journal begins with the process, and of several replicas each has its own. What a process does not know of people is taken from
// the builds that the store keeps: whoever began a run worked in it.

// pastOf is how far back runs tell when people worked, which is what forecast.Learn looks at.
const pastOf = 8 * week

// history is what the store's builds tell.
type history struct {
	sessions map[uuid.UUID][]forecast.Session // of each workspace, the latest first
	builds   []lifecycle.Build                // of the last two weeks
}

// history reads the builds before an instant.
func (s *Source) history(ctx context.Context, now time.Time) (*history, error) {
	known := make(map[uuid.UUID]lifecycle.Workspace)
	for w, err := range s.list(ctx, lifecycle.ListQuery{}) {
		if err != nil {
			return nil, err
		}
		known[w.Workspace.ID] = w.Workspace
	}
	h := &history{sessions: make(map[uuid.UUID][]forecast.Session)}
	next := make(map[uuid.UUID]lifecycle.Build) // the one after that at hand
	for b, err := range s.builds(ctx, now.Add(-pastOf), lifecycle.JobSucceeded, lifecycle.JobFailed) {
		if err != nil {
			return nil, fmt.Errorf("learn from builds: %w", err)
		}
		if b.CreatedAt.After(now.Add(-buildsOf)) {
			h.builds = append(h.builds, b.Build)
		}
		if w, ok := known[b.WorkspaceID]; ok && begunByHand(&b.Build) {
			h.sessions[w.ID] = append(h.sessions[w.ID], worked(&b.Build, next[w.ID], &w, now))
		}
		next[b.WorkspaceID] = b.Build
	}
	return h, nil
}

func begunByHand(b *lifecycle.Build) bool {
	return b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded && b.Reason == lifecycle.ReasonManual
}

// worked is when somebody worked in a run that began with a start: until it was stopped by hand, or a TTL before it was stopped by
// itself, because that begins anew with use. What runs still was used last when the workspace was.
func worked(start *lifecycle.Build, next lifecycle.Build, w *lifecycle.Workspace, now time.Time) forecast.Session {
	end := w.LastUsedAt
	switch {
	case next.Number == 0:
	case next.Reason == lifecycle.ReasonAutostop && start.TTL > 0:
		end = next.CreatedAt.Add(-start.TTL)
	case next.Reason == lifecycle.ReasonAutostop:
		end = next.CreatedAt.Add(-w.TTL)
	default:
		end = next.CreatedAt
	}
	if least := start.CreatedAt.Add(beat); end.Before(least) {
		end = least
	}
	return forecast.Session{Begin: start.CreatedAt, End: earlier(end, now)}
}

// people are the pasts of the workspaces that were used: what the journal has heard, and of the runs in which it heard nothing what the
// store's builds tell.
func (s *Source) people(h *history) (list []forecast.Past) {
	var heard []forecast.Past
	if s.cfg.Journal != nil {
		heard = s.cfg.Journal.people()
	}
	for _, p := range heard {
		p.Sessions = together(h.sessions[p.Who], p.Sessions)
		list = append(list, p)
		delete(h.sessions, p.Who)
	}
	for id, sessions := range h.sessions {
		list = append(list, forecast.Past{Who: id, Sessions: before(sessions, store.LastInstant)})
	}
	return list
}

// together are the sessions that were heard of, the earliest first, and those of runs, the latest first, in which nothing was heard; what a
// run tells of the time before the first that was heard counts, too.
func together(runs, heard []forecast.Session) []forecast.Session {
	first := heard[0].Begin
	list := slices.Concat(before(runs, first), heard)
	for _, r := range runs {
		met := func(s forecast.Session) bool { return !s.Begin.After(r.End) && !r.Begin.After(s.End) }
		if !r.Begin.Before(first) && !slices.ContainsFunc(heard, met) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b forecast.Session) int { return a.Begin.Compare(b.Begin) })
	return list
}

// before are the sessions, the latest first, as far as they were before an instant, the earliest first.
func before(sessions []forecast.Session, at time.Time) (list []forecast.Session) {
	for i := len(sessions) - 1; i >= 0; i-- {
		if s := sessions[i]; s.Begin.Before(at) {
			list = append(list, forecast.Session{Begin: s.Begin, End: earlier(s.End, at)})
		}
	}
	return list
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
