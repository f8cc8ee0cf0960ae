package memory

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Ready implements [queue.Queue].
func (s *Jobs) Ready(_ context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeDelayed(now)
	var listing queue.Listing
	for id := range s.wantedOrgs(q.Organizations) {
		for lane, line := range s.orgs[id].lanes {
			if s.paused(lane, now) {
				continue
			}
			first := line.first()
			listing.Lanes = append(listing.Lanes, queue.ReadyLane{
				Lane: lane, Count: min(line.size, max(q.CountTo, 1)), From: first.Order, Oldest: first.CreatedAt,
			})
		}
	}
	listing.Next = s.nextResumed(q.Organizations, now, s.nextDelayed(q.Organizations))
	return listing, nil
}

// wantedOrgs is the set of known organizations among ids, or all of them.
func (s *Jobs) wantedOrgs(ids []uuid.UUID) map[uuid.UUID]bool {
	wanted := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		if _, known := s.orgs[id]; known {
			wanted[id] = true
		}
	}
	if len(ids) == 0 {
		for id := range s.orgs {
			wanted[id] = true
		}
	}
	return wanted
}

// nextDelayed is the earliest time at which a job of these organizations turns ready.
func (s *Jobs) nextDelayed(ids []uuid.UUID) time.Time {
	if s.delayed.Len() == 0 {
		return time.Time{}
	}
	if len(ids) == 0 {
		return s.delayed.items[0].ReadyAt
	}
	var next time.Time
	for id := range s.wantedOrgs(ids) {
		if d := s.orgs[id].delayed; d.Len() > 0 {
			next = earlier(next, d.items[0].ReadyAt)
		}
	}
	return next
}

// Claim implements [queue.Queue].
func (s *Jobs) Claim(_ context.Context, c queue.Claim) (queue.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.processes[c.Process]
	if !ok || !p.registered() || p.lost {
		return queue.Claimed{}, queue.ErrProcessLost
	}
	picker := newPicker(s, c)
	defer picker.restore()
	var claimed queue.Claimed
	for i := range c.Workers {
		j := picker.next()
		if j == nil {
			break
		}
		s.start(j, p, c, i)
		claimed.Jobs = append(claimed.Jobs, j.Clone())
	}
	claimed.Limited = picker.limited
	return claimed, nil
}

// start turns a ready job into a running one, for the i-th worker.
func (s *Jobs) start(j *job, p *process, c queue.Claim, i int) {
	org := s.orgs[j.Organization]
	s.removeFromLane(j)
	turn := org.turn(j.Priority)
	turn.claimed = max(turn.claimed, j.Order)
	org.running.Add(j.Lane(), j.Tenant, 1)
	p.held[j.ID] = j
	j.State, j.StartedAt = queue.Running, c.Now
	j.Process, j.Worker, j.Token, j.SecretHash = c.Process, c.Workers[i], c.Token, c.SecretFor(i)
	j.Attempt++
	j.Fence++
	j.Progress = queue.Progress{}
}

// picker draws jobs from several lanes in line order, keeping to the limits. What it sets aside on the way it
// puts back in restore.
type picker struct {
	store   *Jobs
	limits  queue.Limits
	lanes   map[queue.Lane]pick
	aside   []setAside
	limited bool
}

// pick is a lane to draw from, with the priority that it counts with here.
type pick struct {
	*jobLane
	priority int
}

type setAside struct {
	lane *jobLane
	line *tenantLine
}

func newPicker(s *Jobs, c queue.Claim) *picker {
	p := &picker{store: s, limits: c.Limits, lanes: make(map[queue.Lane]pick, len(c.Probes))}
	for _, probe := range c.Probes {
		org, ok := s.orgs[probe.Lane.Organization]
		if !ok || s.paused(probe.Lane, c.Now) {
			continue
		}
		if lane, ok := org.lanes[probe.Lane]; ok {
			p.lanes[probe.Lane] = pick{lane, int(probe.Lane.Priority) + int(probe.Boost)}
		}
	}
	return p
}

// next returns the first job in line that no limit stops, still in its lane, or nil.
func (p *picker) next() *job {
	for {
		key, line, j := p.head()
		if j == nil {
			return nil
		}
		switch running := &p.store.orgs[j.Organization].running; {
		case running.LaneFull(p.limits, key):
			p.limited = true
			delete(p.lanes, key)
		case running.TenantFull(p.limits, j.Tenant):
			p.limited = true
			p.aside = append(p.aside, setAside{p.lanes[key].jobLane, line})
			p.lanes[key].setAside(line)
		default:
			return j
		}
	}
}

// head is the first job over all lanes; lanes without one are dropped.
func (p *picker) head() (key queue.Lane, line *tenantLine, first *job) {
	for k, lane := range p.lanes {
		l, j := lane.head()
		if j == nil {
			delete(p.lanes, k)
			continue
		}
		if first == nil || goesFirst(j, lane.priority, first, p.lanes[key].priority) {
			key, line, first = k, l, j
		}
	}
	return key, line, first
}

// goesFirst is [queue.Job.Before] with the priorities that the jobs' lanes count with.
func goesFirst(a *job, priorityA int, b *job, priorityB int) bool {
	if priorityA != priorityB {
		return priorityA > priorityB
	}
	if a.Order != b.Order {
		return a.Order < b.Order
	}
	return slices.Compare(a.ID[:], b.ID[:]) < 0
}

func (p *picker) restore() {
	for _, a := range p.aside {
		a.lane.putBack(a.line)
	}
}
