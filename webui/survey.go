package webui

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// survey is the fleet as it was read at one instant.
type survey struct {
	at   time.Time
	rows []*row
	// cut says that the fleet has more workspaces than Config.MaxWorkspaces, which are those that were read.
	cut bool
}

// row is a workspace and what is asked of all of them.
type row struct {
	lifecycle.Snapshot
	status lifecycle.Status
	// overdue is since when something is due that was not done, zero if nothing is; wake is when something may happen next.
	overdue, wake time.Time
	// key is the name in lower case, to search and sort by.
	key string
}

func (r *row) attention() bool { return r.status == lifecycle.StatusNeedsAttention }

// cache keeps the last survey for Config.Refresh, and the last outlook. Whoever comes while one is being made waits for it,
// as long as they like.
type cache struct {
	h      *Handler
	asking gate // guards last
	last   *survey
	stale  atomic.Bool

	foretelling gate // guards future
	future      *outlook
}

// gate lets one at a time through.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// survey returns the fleet, read no longer than Config.Refresh ago.
func (c *cache) survey(ctx context.Context) (*survey, error) {
	if err := c.asking.enter(ctx); err != nil {
		return nil, err
	}
	defer c.asking.leave()
	now, stale := c.h.now(), c.stale.Swap(false)
	if s := c.last; s != nil && !stale && !now.Before(s.at) && now.Sub(s.at) < c.h.cfg.Refresh {
		return s, nil
	}
	s, err := c.h.read(ctx, now)
	if err != nil {
		c.stale.Store(stale)
		return nil, err
	}
	c.last = s
	return s, nil
}

// forget makes the next page read the fleet anew, for whoever has just changed it.
func (c *cache) forget() { c.stale.Store(true) }

func (h *Handler) read(ctx context.Context, now time.Time) (*survey, error) {
	s := &survey{at: now}
	for snapshot, err := range h.source.Workspaces(ctx) {
		switch {
		case err != nil:
			return nil, fmt.Errorf("read workspaces: %w", err)
		case snapshot.Workspace.Deleted:
			continue
		case len(s.rows) == h.cfg.MaxWorkspaces:
			s.cut = true
			return s, nil
		}
		r := h.rowOf(snapshot, now)
		s.rows = append(s.rows, &r)
	}
	return s, nil
}

// own returns what an owner has: from the survey if that is whole, else from a source that can tell. It is cut if some of it may be
// missing.
func (h *Handler) own(ctx context.Context, s *survey, who Viewer) (*survey, error) {
	source, ok := h.source.(Owners)
	if !s.cut || !ok {
		return &survey{at: s.at, rows: s.of(who), cut: s.cut}, nil
	}
	own := &survey{at: s.at}
	if who.Owner == uuid.Nil {
		return own, nil
	}
	for snapshot, err := range source.Owned(ctx, who.Owner) {
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the workspaces of an owner: %w", err)
		case snapshot.Workspace.Deleted || !who.owns(&snapshot):
			continue
		case len(own.rows) == h.cfg.MaxWorkspaces:
			own.cut = true
			return own, nil
		}
		r := h.rowOf(snapshot, s.at)
		own.rows = append(own.rows, &r)
	}
	return own, nil
}

func (h *Handler) rowOf(s lifecycle.Snapshot, now time.Time) row {
	r := row{Snapshot: s, status: s.Status(), overdue: overdueSince(&s, now, h.cfg.OverdueAfter), key: strings.ToLower(nameOf(&s))}
	_, r.wake = lifecycle.Evaluate(&s, now)
	return r
}

// overdueSince returns since when a rule of the workspace is due whose transition is not done, if that is longer than a
// tolerance: a rule that acts and was not acted on, one whose build could not be made, and a build of a rule that no
// worker has begun. What a hold or the brake on deletions keeps back is not.
func overdueSince(s *lifecycle.Snapshot, now time.Time, tolerance time.Duration) time.Time {
	since := dueAt(s, now)
	if since.IsZero() || now.Sub(since) <= tolerance {
		return time.Time{}
	}
	return since
}

func dueAt(s *lifecycle.Snapshot, now time.Time) time.Time {
	if s.Build.Status == lifecycle.JobPending {
		return s.Build.DueAt
	}
	bare := *s
	bare.Workspace.Backoff = lifecycle.Backoff{}
	d, _ := lifecycle.Evaluate(&bare, now)
	if !d.Acts() || d.Rule >= lifecycle.RuleReminder || d.Transition == lifecycle.TransitionDelete && braked(s) {
		return time.Time{}
	}
	return d.DueAt
}

// braked reports whether the brake on mass deletions keeps a workspace.
func braked(s *lifecycle.Snapshot) bool { return s.Workspace.Backoff.Cause == lifecycle.SkipBrake }

// owns reports whether a workspace is the viewer's own. Nobody owns what has no owner.
func (v Viewer) owns(s *lifecycle.Snapshot) bool {
	return v.Owner != uuid.Nil && v.Owner == s.Workspace.OwnerID
}

// of returns the rows of an owner.
func (s *survey) of(who Viewer) []*row {
	var own []*row
	for _, r := range s.rows {
		if who.owns(&r.Snapshot) {
			own = append(own, r)
		}
	}
	return own
}

// counts are how many workspaces there are of each status.
func (s *survey) counts() (n [lifecycle.StatusManaged + 1]int) {
	for i := range s.rows {
		n[s.rows[i].status]++
	}
	return n
}

// templates returns the templates that workspaces have, by name, and how many each has.
func (s *survey) templates() (list []lifecycle.Template, n map[uuid.UUID]int) {
	n = make(map[uuid.UUID]int)
	for i := range s.rows {
		t := &s.rows[i].Template
		if n[t.ID]++; n[t.ID] == 1 {
			list = append(list, *t)
		}
	}
	slices.SortFunc(list, func(a, b lifecycle.Template) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	return list, n
}

// digest changes when a page made of the rows would: with every change of a workspace, and every minute.
func digest(rows []*row, at time.Time) uint64 {
	f := fnv.New64a()
	var sum uint64
	for i := range rows {
		r := rows[i]
		f.Reset()
		fmt.Fprint(f, r.Workspace.ID, r.Workspace.Revision, r.status, r.overdue.IsZero(), r.Workspace.LastUsedAt.Unix())
		sum += f.Sum64() // in any order
	}
	return sum ^ uint64(at.Unix()/60)
}
