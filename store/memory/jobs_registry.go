package memory

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// process is a row of the registry.
type process struct {
	id     uuid.UUID
	name   string
	beats  int64
	beatAt time.Time
	crews  []queue.DomainWorkers
	lost   bool
	lostAt time.Time
	held   map[uuid.UUID]*job
}

func (p *process) export() queue.Process {
	return queue.Process{
		ID: p.id, Name: p.name, Heartbeats: p.beats, HeartbeatAt: p.beatAt, Lost: p.lost,
		Holding: len(p.held), Workers: cloneCrews(p.crews),
	}
}

func cloneCrews(crews []queue.DomainWorkers) []queue.DomainWorkers {
	crews = slices.Clone(crews)
	for i := range crews {
		crews[i].Domain.Types = slices.Clone(crews[i].Domain.Types)
	}
	return crews
}

// Beat implements [queue.Registry].
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
	p.name, p.beatAt = store.Text(b.Name), b.Now
	p.beats++
	if b.Workers != nil {
		p.crews = cloneCrews(b.Workers)
	}
	return s.pulse(p), nil
}

func (s *Jobs) pulse(caller *process) queue.Fleet {
	pulse := queue.Fleet{Running: make(map[queue.Kind]int)}
	for _, p := range s.processes {
		if !p.lost || len(p.held) > 0 {
			pulse.Processes = append(pulse.Processes, p.export())
		}
	}
	for _, j := range caller.held {
		if !j.CancelAt.IsZero() {
			pulse.Canceled = append(pulse.Canceled, j.Lease())
		}
	}
	for id, org := range s.orgs {
		for jobType, n := range org.running.Types() {
			pulse.Running[queue.Kind{Organization: id, Type: jobType}] = n
		}
	}
	return pulse
}

// Bury implements [queue.Registry].
func (s *Jobs) Reap(_ context.Context, b queue.ReapRequest) ([]queue.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.processes[b.Process]
	if !ok || !p.lost && p.beats != b.Heartbeats {
		return nil, nil
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
	return held, nil
}

// Purge implements [queue.Registry].
func (s *Jobs) PruneJobs(_ context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < limit && s.ended.Len() > 0 && s.ended.items[0].EndedAt.Before(before); n++ {
		j := heap.Pop(s.ended).(*job)
		delete(s.jobs, j.ID)
	}
	for id, p := range s.processes {
		if p.lost && len(p.held) == 0 && p.lostAt.Before(before) {
			delete(s.processes, id)
		}
	}
	s.forgetTurns()
	return n, nil
}

// forgetTurns drops the last numbers that the floor has overtaken; they decide nothing any more.
func (s *Jobs) forgetTurns() {
	for _, org := range s.orgs {
		for _, turn := range org.turns {
			for tenant, last := range turn.last {
				if queue.FairOrder(last, turn.claimed, 1) == turn.claimed {
					delete(turn.last, tenant)
				}
			}
		}
	}
}
