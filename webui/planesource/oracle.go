package planesource

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// Outlook implements [webui.Oracle]: what [Source.Learn] found last.
func (s *Source) Outlook(context.Context) (*forecast.Outlook, error) { return s.outlook.Load(), nil }

const (
	week = 7 * 24 * time.Hour
	// buildsOf is how far back builds teach how long they take.
	buildsOf = 2 * week
)

// ForecastConfig is how the pages foretell. A host that foretells beside them does it so, too, and both show the same band.
func ForecastConfig() forecast.ForecastConfig {
	return forecast.ForecastConfig{Draws: 10, Assumptions: forecast.Assumptions{Beat: 30 * time.Minute}}
}

// Learn learns when people work, from the journal and for the time before it from the runs that were begun by hand, and from the builds
// of the last two weeks how these go. It foretells the week after now with them: from then on the pages show the band of that week. Runs are
// in the store, so that a new process and each of several replicas know them; they tell less exactly than the journal when
// somebody worked. It reads every workspace and the builds of eight weeks and takes some seconds for thousands, so a host calls it in its
// own time, such as once an hour. Where nobody has worked yet it does nothing. After an error the band stays as it was; it
// may be called beside everything else.
func (s *Source) Learn(ctx context.Context, now time.Time) error {
	h, err := s.history(ctx, now)
	if err != nil {
		return err
	}
	people := s.people(h)
	if len(people) == 0 {
		return nil
	}
	behavior := forecast.Learn(now, slices.Values(people), slices.Values(h.builds))
	from := now.Truncate(time.Hour)
	outlook, err := s.plane.Forecast(ctx, behavior, from.Add(week), ForecastConfig())
	if err != nil {
		return fmt.Errorf("foretell: %w", err)
	}
	s.behavior.Store(behavior)
	s.outlook.Store(&outlook)
	return nil
}

// Behavior returns what [Source.Learn] found last of people and builds, nil if it has found nobody yet: for a
// dormouse.Plane.Forecast further ahead than the pages show, or with another configuration.
func (s *Source) Behavior() *forecast.Behavior { return s.behavior.Load() }

// people are the pasts of the workspaces that were used.
func (j *Journal) people() (list []forecast.Past) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, p := range j.pages {
		if len(p.uses) > 0 {
			list = append(list, forecast.Past{Who: id, Sessions: p.sessions()})
		}
	}
	return list
}

// builds yields the builds of the organization that were made since an instant, newest first.
func (s *Source) builds(ctx context.Context, since time.Time, statuses ...lifecycle.JobStatus) iter.Seq2[lifecycle.FleetBuild, error] {
	return func(yield func(lifecycle.FleetBuild, error) bool) {
		q := lifecycle.BuildQuery{
			Organizations: []uuid.UUID{s.cfg.Organization}, Statuses: statuses, Since: since, Limit: lifecycle.MaxPage,
		}
		for {
			page, err := s.store.FleetBuilds(ctx, q)
			if err != nil {
				yield(lifecycle.FleetBuild{}, fmt.Errorf("list builds: %w", err))
				return
			}
			for _, b := range page {
				if !yield(b, nil) {
					return
				}
			}
			if len(page) < q.Limit {
				return
			}
			q = q.Following(&page[len(page)-1].Build)
		}
	}
}

// ran is what Ran found last.
type ran struct {
	from time.Time
	most []int
}

// longestBuild is how long before an hour builds are read that may have ended in it.
const longestBuild = 6 * time.Hour

// Ran implements [webui.Oracle]. It counts from the builds that the store keeps, and from the workspaces that run without one
// since. It reads them once for each hour; the result is shared and must not be changed.
func (s *Source) Ran(ctx context.Context, from time.Time, hours int) ([]int, error) {
	s.counting.Lock()
	defer s.counting.Unlock()
	if r := s.ran; r.from.Equal(from) && len(r.most) == hours {
		return r.most, nil
	}
	turns := make(map[uuid.UUID][]turn)
	for b, err := range s.builds(ctx, from.Add(-longestBuild), lifecycle.JobSucceeded) {
		if err != nil {
			return nil, err
		}
		turns[b.WorkspaceID] = append(turns[b.WorkspaceID], turn{b.CompletedAt, b.Transition == lifecycle.TransitionStart})
	}
	for w, err := range s.list(ctx, lifecycle.ListQuery{}) {
		if err != nil {
			return nil, err
		}
		if since := w.Build.RunSince; len(turns[w.Workspace.ID]) == 0 && !since.IsZero() {
			turns[w.Workspace.ID] = []turn{{since, true}}
		}
	}
	s.ran = ran{from, mostAtOnce(turns, from, hours)}
	return s.ran.most, nil
}

// turn is the end of a build: a workspace runs from then on, or does not.
type turn struct {
	at time.Time
	up bool
}

// mostAtOnce counts the most that ran at once in each hour. What stops first ran before.
func mostAtOnce(turns map[uuid.UUID][]turn, from time.Time, hours int) []int {
	var all []turn
	running := 0
	for _, list := range turns {
		slices.SortFunc(list, func(a, b turn) int { return a.at.Compare(b.at) })
		up := !list[0].up
		if up {
			running++
		}
		for _, t := range list {
			if t.up != up {
				all, up = append(all, t), t.up
			}
		}
	}
	slices.SortFunc(all, func(a, b turn) int { return a.at.Compare(b.at) })
	most, next := make([]int, hours), 0
	take := func(before time.Time, note func()) {
		for ; next < len(all) && all[next].at.Before(before); next++ {
			if running--; all[next].up {
				running += 2
			}
			note()
		}
	}
	take(from, func() {})
	for i := range most {
		most[i] = running
		take(from.Add(time.Duration(i+1)*time.Hour), func() { most[i] = max(most[i], running) })
	}
	return most
}
