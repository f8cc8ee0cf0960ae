package memory

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Jobs keeps jobs in memory: an [queue.Store] for hosts of one process and for unit tests. Claims are as
// fair, limits as strict and leases as fenced as in a database; only the process's end is the data's end.
//
// It is safe for concurrent use. A claim costs the number of its probes plus, for each job, the logarithm of
// the number of tenants waiting in the lane; it does not depend on the number of jobs. It has no dead entries
// to skip and ignores the lower bounds of probes.
type Jobs struct {
	mu        sync.Mutex
	jobs      map[uuid.UUID]*job
	orgs      map[uuid.UUID]*jobOrg
	processes map[uuid.UUID]*process
	delayed   *minHeap[*job]     // pending jobs whose ReadyAt is to come, earliest first
	unique    map[uniqueKey]*job // jobs that are not over, by their unique keys
	pauses    map[queue.Scope]queue.Pause
	ended     *minHeap[*job] // jobs that are over, longest first
}

var _ queue.Store = (*Jobs)(nil)

// NewJobs returns an empty store of jobs.
func NewJobs() *Jobs {
	return &Jobs{
		jobs:      make(map[uuid.UUID]*job),
		orgs:      make(map[uuid.UUID]*jobOrg),
		processes: make(map[uuid.UUID]*process),
		unique:    make(map[uniqueKey]*job),
		pauses:    make(map[queue.Scope]queue.Pause),
		delayed:   newHeap(func(a, b *job) bool { return a.ReadyAt.Before(b.ReadyAt) }),
		ended:     newHeap(func(a, b *job) bool { return a.EndedAt.Before(b.EndedAt) }),
	}
}

// job is a row. A pending one stands in its lane or in the heap of delayed ones, never in both.
type job struct {
	queue.Job
	// build is what the payload is made of when somebody first asks for it; nil once it is made.
	build *lifecycle.Job
	lines []queue.Line
	seq   int64
	// logged is the size of the log (see [queue.AdmitLines]), and history that of [queue.Operations].
	logged  int64
	history []queue.Attempt
	// ofOrg is the place in the organization's heap of delayed jobs; -1 outside.
	ofOrg int
	// index in the heap of delayed or of ended jobs; -1 outside.
	index int
}

// Clone returns a copy of the job with its payload. It hides that of the embedded job.
func (j *job) Clone() queue.Job {
	if j.build != nil {
		p, err := buildjobs.PostingOf(*j.build)
		if err != nil {
			panic(err) // encodable says that it cannot be
		}
		j.Payload, j.build = p.Payload, nil
	}
	return j.Job.Clone()
}

// jobOrg is what the jobs of one organization share.
type jobOrg struct {
	// jobs is how many there are of any state.
	jobs    int
	lanes   map[queue.Lane]*jobLane
	turns   map[int16]*turns // by priority
	running queue.Room
	// delayed are the delayed jobs of the organization: a look must not walk those of others.
	delayed *minHeap[delayedOfOrg]
}

// delayedOfOrg is a job in the heap of its organization.
type delayedOfOrg struct{ *job }

func (d delayedOfOrg) setPlace(i int) { d.ofOrg = i }

// uniqueKey is what keeps a job from being there twice.
type uniqueKey struct {
	organization uuid.UUID
	kind, key    string
}

func uniqueOf(j queue.Job) uniqueKey { return uniqueKey{j.Organization, j.Type, j.Unique} }

// turns is the state of fair ordering at one priority.
type turns struct {
	claimed int64               // the number claimed last
	last    map[uuid.UUID]int64 // the last number of each tenant; absent ones are not above claimed
}

func (s *Jobs) org(id uuid.UUID) *jobOrg {
	org, ok := s.orgs[id]
	if !ok {
		org = &jobOrg{
			lanes:   make(map[queue.Lane]*jobLane),
			turns:   make(map[int16]*turns),
			delayed: newHeap(func(a, b delayedOfOrg) bool { return a.ReadyAt.Before(b.ReadyAt) }),
		}
		s.orgs[id] = org
	}
	return org
}

func (o *jobOrg) turn(priority int16) *turns {
	t, ok := o.turns[priority]
	if !ok {
		t = &turns{last: make(map[uuid.UUID]int64)}
		o.turns[priority] = t
	}
	return t
}

func (o *jobOrg) lane(l queue.Lane) *jobLane {
	line, ok := o.lanes[l]
	if !ok {
		line = newJobLane()
		o.lanes[l] = line
	}
	return line
}

// Enqueue implements [queue.Queue].
func (s *Jobs) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	rows, err := jobRows(now, postings)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.insertJobs(now, rows)
	announce(ctx, stored)
	return stored, nil
}

// jobRows is the part of enqueueing that can fail, apart so that a larger commit can do it before it writes.
func jobRows(now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	rows := make([]queue.Job, len(postings))
	for i, posting := range postings {
		row, err := posting.Job(now)
		if err != nil {
			return nil, fmt.Errorf("enqueue: posting %d: %w", i, err)
		}
		rows[i] = row
	}
	return rows, nil
}

// insertJobs is the part that cannot fail. The caller holds the lock.
func (s *Jobs) insertJobs(now time.Time, rows []queue.Job) []queue.Job {
	stored := make([]queue.Job, len(rows))
	for i, row := range rows {
		j, inserted := s.insertJob(now, newJobRow(row))
		stored[i] = j.Clone()
		stored[i].Duplicate = !inserted
	}
	return stored
}

// insertJob stores a job unless its id or its unique key is there already, and returns the one that is there then.
func (s *Jobs) insertJob(now time.Time, j *job) (there *job, inserted bool) {
	if known, ok := s.jobs[j.ID]; ok {
		return known, false
	}
	if known, ok := s.unique[uniqueOf(j.Job)]; ok && j.Unique != "" {
		return known, false
	}
	turn := s.org(j.Organization).turn(j.Priority)
	j.Order = queue.FairOrder(turn.last[j.Tenant], turn.claimed, j.Weight)
	turn.last[j.Tenant] = j.Order
	s.keepJob(j)
	s.reserve(j)
	s.line(j, now)
	return j, true
}

func (s *Jobs) keepJob(j *job) {
	s.jobs[j.ID] = j
	s.org(j.Organization).jobs++
}

func newJobRow(row queue.Job) *job { return &job{Job: row, index: -1, ofOrg: -1} }

// reserve takes a job's unique key for it.
func (s *Jobs) reserve(j *job) {
	if j.Unique != "" {
		s.unique[uniqueOf(j.Job)] = j
	}
}

// line puts a pending job where it waits.
func (s *Jobs) line(j *job, now time.Time) {
	if j.ReadyAt.After(now) {
		s.delay(j)
		return
	}
	s.org(j.Organization).lane(j.Lane()).add(j)
}

func (s *Jobs) delay(j *job) {
	heap.Push(s.delayed, j)
	heap.Push(s.org(j.Organization).delayed, delayedOfOrg{j})
}

// unline takes a pending job out of where it waits.
func (s *Jobs) unline(j *job) {
	if j.index >= 0 {
		heap.Remove(s.delayed, j.index)
		heap.Remove(s.orgs[j.Organization].delayed, j.ofOrg)
		return
	}
	s.removeFromLane(j)
}

func (s *Jobs) removeFromLane(j *job) {
	org := s.orgs[j.Organization]
	lane := org.lanes[j.Lane()]
	lane.remove(j)
	if lane.empty() {
		delete(org.lanes, j.Lane())
	}
}

// wakeDelayed moves the jobs whose time has come into their lanes.
func (s *Jobs) wakeDelayed(now time.Time) {
	for s.delayed.Len() > 0 && !s.delayed.items[0].ReadyAt.After(now) {
		j := heap.Pop(s.delayed).(*job)
		org := s.org(j.Organization)
		heap.Remove(org.delayed, j.ofOrg)
		j.Order = max(j.Order, org.turn(j.Priority).claimed) // not in front of what was claimed
		org.lane(j.Lane()).add(j)
	}
}

func (j *job) setPlace(i int) { j.index = i }
