package memory

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// process is a row of the registry.
type process struct {
	id          uuid.UUID
	name        string
	heartbeats  int64
	heartbeatAt time.Time
	workers     []queue.DomainWorkers
	lost        bool
	lostAt      time.Time
	held        map[uuid.UUID]*job
}

// registered reports whether the process has sent a heartbeat: one that has not is known for the jobs it holds only.
func (p *process) registered() bool { return p.heartbeats > 0 }

func (p *process) export() queue.Process {
	return queue.Process{
		ID: p.id, Name: p.name, Heartbeats: p.heartbeats, HeartbeatAt: p.heartbeatAt, Lost: p.lost,
		Holding: len(p.held), Workers: cloneWorkers(p.workers),
	}
}

func cloneWorkers(workers []queue.DomainWorkers) []queue.DomainWorkers {
	workers = slices.Clone(workers)
	for i := range workers {
		workers[i].Domain.Types = slices.Clone(workers[i].Domain.Types)
	}
	return workers
}

// Heartbeat implements [queue.Registry].
func (s *Jobs) Heartbeat(_ context.Context, b queue.Heartbeat) (queue.Fleet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.processes[b.Process]
	if !ok {
		p = &process{id: b.Process, held: make(map[uuid.UUID]*job)}
		s.processes[b.Process] = p
	}
	if p.lost {
		return queue.Fleet{}, queue.ErrProcessLost
	}
	p.name, p.heartbeatAt = queue.CleanText(b.Name, queue.MaxActor), b.Now
	p.heartbeats++
	if b.Workers != nil {
		p.workers = cloneWorkers(b.Workers)
	}
	return s.fleet(p), nil
}

func (s *Jobs) fleet(caller *process) queue.Fleet {
	fleet := queue.Fleet{Running: make(map[queue.Kind]int)}
	for _, p := range s.processes {
		if !p.lost || len(p.held) > 0 {
			fleet.Processes = append(fleet.Processes, p.export())
		}
	}
	for _, j := range caller.held {
		if !j.CancelAt.IsZero() {
			fleet.Canceled = append(fleet.Canceled, j.Lease())
		}
	}
	for id, org := range s.orgs {
		for jobType, n := range org.running.Types() {
			fleet.Running[queue.Kind{Organization: id, Type: jobType}] = n
		}
	}
	return fleet
}

// Reap implements [queue.Registry].
func (s *Jobs) Reap(_ context.Context, b queue.ReapRequest) (queue.Reaped, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.processes[b.Process]
	if !ok || !p.lost && p.heartbeats != b.Heartbeats {
		return queue.Reaped{}, nil
	}
	if !p.lost {
		p.lost, p.lostAt = true, b.Now
	}
	var held []queue.Job
	for _, j := range p.held {
		if len(held) == b.Limit {
			break
		}
		held = append(held, j.Clone())
	}
	return queue.Reaped{Lost: true, Jobs: held}, nil
}

// PruneJobs implements [queue.Registry].
func (s *Jobs) PruneJobs(_ context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < limit && s.ended.Len() > 0 && s.ended.items[0].EndedAt.Before(before); n++ {
		j := heap.Pop(s.ended).(*job)
		delete(s.jobs, j.ID)
		s.orgs[j.Organization].jobs--
	}
	for id, p := range s.processes {
		if p.lost && len(p.held) == 0 && p.lostAt.Before(before) {
			delete(s.processes, id)
		}
	}
	maps.DeleteFunc(s.pauses, func(_ queue.Scope, p queue.Pause) bool { return !p.Until.IsZero() && p.Until.Before(before) })
	s.forgetTurns()
	return n, nil
}

// forgetTurns drops the last numbers that the floor has overtaken; they decide nothing any more. With the jobs of an organization
// go its turns; its next job begins as the first one did.
func (s *Jobs) forgetTurns() {
	for id, org := range s.orgs {
		if org.jobs == 0 {
			delete(s.orgs, id)
		}
		for _, turn := range org.turns {
			for tenant, last := range turn.last {
				if queue.FairOrder(last, turn.claimed, 1) == queue.FairOrder(0, turn.claimed, 1) {
					delete(turn.last, tenant)
				}
			}
		}
	}
}
