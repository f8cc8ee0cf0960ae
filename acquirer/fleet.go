package acquirer

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/internal/liveness"
	"github.com/dormouse-go/dormouse/internal/tagindex"
)

// fleet is what the last heartbeat said of all processes and their workers. Guarded by Acquirer.mu.
type fleet struct {
	// epoch counts the answered heartbeats.
	epoch uint64
	// processes that live, by id, ourselves included.
	processes []queue.Process
	running   map[queue.Kind]int
	// unreadable is the number of processes whose workers cannot be read.
	unreadable int
	// watch is for how long each process's count of heartbeats has stood still.
	watch liveness.Watch[uuid.UUID]
	// rivals are the other processes with idle workers for a lane, looked up once for each epoch.
	rivals map[queue.Lane][]rival
	// workers finds the workers of all processes that can run a lane.
	workers tagindex.Domains[placed]
	// breadth is how many there are of an organization.
	breadth map[uuid.UUID]int
}

// placed is one entry of a process's workers, by their places in processes.
type placed struct{ process, workers int }

type rival struct {
	process uuid.UUID
	waiting int
}

// update takes in the answer to a heartbeat at now. It returns the processes that have been silent for the length of a lease, those that
// were declared lost and still hold jobs, and those of which gone says that nobody speaks for them any more.
func (f *fleet) update(
	answer queue.Fleet, self uuid.UUID, now time.Time, lease time.Duration, gone func(uuid.UUID) bool,
) (silent []queue.Process) {
	f.epoch++
	f.unreadable = answer.Unreadable
	f.running, f.rivals = answer.Running, make(map[queue.Lane][]rival)
	f.processes = f.processes[:0]
	beats := make([]liveness.Beat[uuid.UUID], len(answer.Processes))
	for i, process := range answer.Processes {
		beats[i] = liveness.Beat[uuid.UUID]{ID: process.ID, Count: process.Heartbeats}
	}
	f.watch.Update(beats, now)
	for _, process := range answer.Processes {
		silence, _ := f.watch.Silence(process.ID, now)
		if process.ID != self && gone(process.ID) {
			silent = append(silent, process)
			continue
		}
		if process.Heartbeats == 0 && silence < lease {
			continue // it holds jobs and is not registered: nobody to count on, and nobody to bury before a lease is over
		}
		if process.ID != self && (process.Lost || silence >= lease) {
			silent = append(silent, process)
			continue
		}
		f.processes = append(f.processes, process)
	}
	slices.SortFunc(f.processes, func(a, b queue.Process) int { return slices.Compare(a.ID[:], b.ID[:]) })
	f.workers, f.breadth = tagindex.Domains[placed]{}, make(map[uuid.UUID]int)
	for i, p := range f.processes {
		for k, w := range p.Workers {
			f.workers.Add(w.Domain, placed{i, k})
			f.breadth[w.Domain.Organization]++
		}
	}
	return silent
}

// first is the process that speaks for all; the nil id if none lives.
func (f *fleet) first() uuid.UUID {
	if len(f.processes) == 0 {
		return uuid.Nil
	}
	return f.processes[0].ID
}

// heard is how long ago a process was last heard from; ok is false if nothing is known of it.
func (f *fleet) heard(id uuid.UUID, now time.Time) (ago time.Duration, ok bool) {
	return f.watch.Silence(id, now)
}

func (f *fleet) process(id uuid.UUID) (queue.Process, bool) {
	i := slices.IndexFunc(f.processes, func(p queue.Process) bool { return p.ID == id })
	if i < 0 {
		return queue.Process{}, false
	}
	return f.processes[i], true
}

// slots is the number of running jobs and waiting workers of an organization in all processes.
func (f *fleet) slots(organization uuid.UUID) int {
	n := 0
	for kind, running := range f.running {
		if kind.Organization == organization {
			n += running
		}
	}
	for _, p := range f.processes {
		for _, w := range p.Workers {
			if w.Domain.Organization == organization {
				n += w.Waiting
			}
		}
	}
	return n
}

// able are the processes other than self with workers that can run a lane, and those workers.
func (f *fleet) able(l queue.Lane, self uuid.UUID) []queue.Process {
	var found []placed
	for c := range f.workers.Candidates(l) {
		if p := f.processes[c.process]; p.ID != self && p.Workers[c.workers].Domain.Runs(l) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.process, b.process), cmp.Compare(a.workers, b.workers))
	})
	var able []queue.Process
	for _, c := range found {
		p := f.processes[c.process]
		if n := len(able); n == 0 || able[n-1].ID != p.ID {
			able = append(able, p)
			able[n].Workers = nil
		}
		last := &able[len(able)-1]
		last.Workers = append(last.Workers, p.Workers[c.workers])
	}
	return able
}

// anyAble reports whether a worker of a process other than self can run a lane.
func (f *fleet) anyAble(l queue.Lane, self uuid.UUID) bool {
	for c := range f.workers.Candidates(l) {
		if p := f.processes[c.process]; p.ID != self && p.Workers[c.workers].Domain.Runs(l) {
			return true
		}
	}
	return false
}

// ableWorkers is a new list of those that can run a lane.
func ableWorkers(workers []queue.DomainWorkers, l queue.Lane) []queue.DomainWorkers {
	var able []queue.DomainWorkers
	for _, w := range workers {
		if w.Domain.Runs(l) {
			able = append(able, w)
		}
	}
	return able
}

// rivalsFor are the processes other than self with idle workers for a lane.
func (f *fleet) rivalsFor(l queue.Lane, self uuid.UUID) []rival {
	if known, ok := f.rivals[l]; ok {
		return known
	}
	var rivals []rival
	for _, p := range f.able(l, self) {
		waiting := 0
		for _, w := range p.Workers {
			waiting += w.Waiting
		}
		if waiting > 0 {
			rivals = append(rivals, rival{p.ID, waiting})
		}
	}
	if f.rivals != nil {
		f.rivals[l] = rivals
	}
	return rivals
}

// turnOf says how many processes come before self in claiming so many jobs that a message announced, beyond those whose
// workers they take anyway: 0 means that self claims at once. Every process comes to the same order, by hashing the
// message; where they disagree about who is idle, the cost is a probe in vain or a short wait.
func (f *fleet) turnOf(l queue.Lane, s dispatch.Source, jobs int, self uuid.UUID) int {
	mine := turnOrder(self, s)
	before, workers := 0, 0
	for _, r := range f.rivalsFor(l, self) {
		if r.process != s.Process && turnOrder(r.process, s) < mine {
			before++
			workers += r.waiting
		}
	}
	if workers < jobs {
		return 0
	}
	return before
}

// turnOrder is the same in all processes: they must agree on whose turn it is. It is FNV-1a.
func turnOrder(process uuid.UUID, s dispatch.Source) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range [][]byte{process[:], s.Process[:]} {
		for _, b := range part {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	for seq := s.Seq; seq > 0; seq >>= 8 {
		h = (h ^ seq&0xff) * 1099511628211
	}
	return h ^ h>>29
}
