package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

func (k *jobPlay) beat() {
	b := queue.Heartbeat{Process: anyOf(k.pair, k.processes), Now: k.now, Name: anyOf(k.pair, k.reasons)}
	if k.one(2) {
		b.Workers = []queue.DomainWorkers{}
		for range k.r.IntN(3) {
			d, err := queue.NewDomain(anyOf(k.pair, k.orgs), k.types[:1+k.r.IntN(2)], anyOf(k.pair, k.tags))
			k.unexpected(err)
			b.Workers = append(b.Workers, queue.DomainWorkers{Domain: d, Waiting: k.r.IntN(3), Busy: k.r.IntN(3)})
		}
	}
	_, _ = ask(k.pair, fmt.Sprintf("Heartbeat %+v", b), func(s store.Store) (queue.Fleet, error) {
		fleet, err := s.Heartbeat(k.ctx, b)
		slices.SortFunc(fleet.Processes, func(a, b queue.Process) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		slices.SortFunc(fleet.Canceled, func(a, b queue.Lease) int { return bytes.Compare(a.Job[:], b.Job[:]) })
		return fleet, err
	})
}

func (k *jobPlay) unexpected(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *jobPlay) directory() { k.registered() }

func (k *jobPlay) registered() []queue.Process {
	q := queue.ProcessQuery{Limit: 1 + k.r.IntN(4)}
	if k.one(2) {
		q.After = anyOf(k.pair, k.processes)
	}
	all, _ := ask(k.pair, fmt.Sprintf("Processes %+v", q), func(s store.Store) ([]queue.Process, error) { return s.Processes(k.ctx, q) })
	return all
}

// reap declares a process lost, mostly by the count of heartbeats that it has. In its place comes a new one.
func (k *jobPlay) reap() {
	for _, p := range k.registered() {
		r := queue.ReapRequest{Now: k.now, Process: p.ID, Heartbeats: p.Heartbeats, Limit: 100}
		if k.one(2) {
			r.Heartbeats += int64(k.r.IntN(3) - 1)
		}
		reaped, _ := ask(k.pair, fmt.Sprintf("Reap %+v", r), func(s store.Store) (queue.Reaped, error) {
			reaped, err := s.Reap(k.ctx, r)
			byPlace(reaped.Jobs)
			return reaped, err
		})
		if i := slices.Index(k.processes, p.ID); reaped.Lost && i >= 0 && k.one(2) {
			k.processes[i] = k.id()
			k.beat()
		}
		if k.one(2) {
			return
		}
	}
}

func (k *jobPlay) prune() {
	before := k.around(k.now.Add(-5*time.Minute), 5*time.Minute)
	_, _ = ask(k.pair, fmt.Sprint("PruneJobs before ", before), func(s store.Store) (sum int, err error) {
		for {
			n, err := s.PruneJobs(k.ctx, before, 3)
			if sum += n; err != nil || n < 3 {
				return sum, err
			}
		}
	})
}

// forget forgets a tenant, or who retried and paused.
func (k *jobPlay) forget() {
	if _, ok := k.got.(store.Forgetter); !ok || !k.one(4) {
		return
	}
	p := store.Person{Names: []string{anyOf(k.pair, []string{"ann", "bob"})}, Pseudonym: k.id()}
	if k.one(2) {
		p.ID = anyOf(k.pair, k.tenants)
	}
	if only := k.only(); only != nil {
		p.Organization = *only
	}
	_, _ = ask(k.pair, fmt.Sprintf("Forget %+v", p), func(s store.Store) (bool, error) { return true, s.(store.Forgetter).Forget(k.ctx, p) })
	_, _ = ask(k.pair, "Pauses", func(s store.Store) ([]queue.Pause, error) { return s.Pauses(k.ctx, k.now) })
	for _, id := range k.known(6) {
		k.history(id, 0, 10)
	}
}

func (k *jobPlay) filter() {
	var f queue.Filter
	switch k.r.IntN(3) {
	case 0:
		f.IDs = k.known(10)
		if k.one(10) {
			f.IDs = []uuid.UUID{} // none, and not all
		}
	case 1:
		f.Process = k.process()
		if k.one(3) {
			f.IDs = k.known(10)
		}
	case 2:
		lane := anyOf(k.pair, k.lanes)
		f.Lane = &lane
	}
	f.Organization = k.only()
	if k.one(3) {
		f.CreatedBefore = k.around(k.now.Add(-2*time.Minute), 2*time.Minute)
	}
	f.Limit = k.r.IntN(2) * k.r.IntN(4)
	k.jobs(fmt.Sprintf("Jobs %+v", f), func(s store.Store) ([]queue.Job, error) { return s.Jobs(k.ctx, f) })
}

// query is one that jobs of some kind meet.
func (k *jobPlay) query() queue.JobQuery {
	q := queue.JobQuery{Organization: anyOf(k.pair, k.orgs), Limit: 1 + k.r.IntN(8)}
	if k.one(2) {
		q.States = someOf(k.pair, []queue.State{queue.Pending, queue.Running, queue.Succeeded, queue.Failed, queue.Canceled}, 1+k.r.IntN(3))
	}
	if k.one(3) {
		q.Type = anyOf(k.pair, k.types)
	}
	if k.one(3) {
		q.Tenant = anyOf(k.pair, k.tenants)
	}
	if k.one(3) {
		q.Tag = anyOf(k.pair, []queue.Tag{{Key: "os", Value: "linux"}, {Key: "gpu", Value: "yes"}, {Key: "gpu"}})
	}
	if k.one(3) {
		q.From = k.around(k.now.Add(-8*time.Minute), 8*time.Minute)
	}
	if k.one(3) {
		q.Until = k.around(k.now.Add(-4*time.Minute), 4*time.Minute)
	}
	return q
}

func (k *jobPlay) list() {
	q := k.query()
	_, _ = ask(k.pair, fmt.Sprintf("CountJobs %+v", q), func(s store.Store) (queue.JobCounts, error) { return s.CountJobs(k.ctx, q, 1000) })
	for {
		page, err := ask(k.pair, fmt.Sprintf("ListJobs %+v", q), func(s store.Store) (queue.JobPage, error) { return s.ListJobs(k.ctx, q) })
		if q.After = page.Next; err != nil || page.Next.IsZero() || k.one(4) {
			return
		}
	}
}

func (k *jobPlay) ahead() {
	id, countTo := k.known(1)[0], 1+k.r.IntN(4)
	_, _ = ask(k.pair, fmt.Sprint("Ahead ", id, countTo), func(s store.Store) ([]queue.ReadyLane, error) {
		lanes, err := s.Ahead(k.ctx, id, countTo)
		sortLanes(lanes)
		return lanes, err
	})
}

func (k *jobPlay) details() {
	for _, id := range k.known(3) {
		k.history(id, int64(k.r.IntN(3)), k.r.IntN(4))
	}
}

func (k *jobPlay) history(id uuid.UUID, after int64, limit int) {
	_, _ = ask(k.pair, fmt.Sprint("Lines ", id, after, limit), func(s store.Store) ([]queue.Line, error) { return s.Lines(k.ctx, id, after, limit) })
	_, _ = ask(k.pair, fmt.Sprint("Attempts ", id), func(s store.Store) ([]queue.Attempt, error) { return s.Attempts(k.ctx, id) })
}

// everything compares all that is stored in the end.
func (k *jobPlay) everything() {
	k.listing(queue.ReadyQuery{CountTo: 1000, Whole: true})
	k.jobs("all jobs", func(s store.Store) ([]queue.Job, error) { return s.Jobs(k.ctx, queue.Filter{IDs: k.posted}) })
	for _, id := range k.posted {
		k.history(id, 0, 1000)
	}
}
