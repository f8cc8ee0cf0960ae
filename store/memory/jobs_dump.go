package memory

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// jobLines are the lines of a dump that are about jobs.
type jobLines struct {
	Job     *jobRow      `json:"job,omitempty"`
	Turn    *turnRow     `json:"turn,omitempty"`
	Process *processRow  `json:"process,omitempty"`
	Pause   *queue.Pause `json:"pause,omitempty"`
}

type jobRow struct {
	queue.Job
	// SecretHash is what the job's own field of that name holds, which is no part of its JSON form.
	SecretHash []byte          `json:",omitempty"`
	Lines      []queue.Line    `json:",omitempty"`
	LastSeq    int64           `json:",omitempty"`
	Logged     int64           `json:",omitempty"`
	History    []queue.Attempt `json:",omitempty"`
	// Delayed: it waits for its ReadyAt.
	Delayed bool `json:",omitempty"`
}

type turnRow struct {
	Organization uuid.UUID
	Priority     int16
	Claimed      int64
	Last         map[uuid.UUID]int64
}

type processRow struct {
	ID          uuid.UUID
	Name        string
	Heartbeats  int64
	HeartbeatAt time.Time
	Workers     []queue.DomainWorkers
	Lost        bool
	LostAt      time.Time
}

func (s *Jobs) dump(d *dumper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.processes {
		if !p.registered() {
			continue
		}
		d.row(entryRow{jobLines: jobLines{Process: &processRow{id, p.name, p.heartbeats, p.heartbeatAt, p.workers, p.lost, p.lostAt}}})
	}
	for id, org := range s.orgs {
		for priority, t := range org.turns {
			d.row(entryRow{jobLines: jobLines{Turn: &turnRow{id, priority, t.claimed, t.last}}})
		}
	}
	for _, p := range s.pauses {
		d.row(entryRow{jobLines: jobLines{Pause: &p}})
	}
	for _, j := range s.jobs {
		j.Job = j.Clone() // with its payload
		delayed := j.State == queue.Pending && j.index >= 0
		d.row(entryRow{jobLines: jobLines{Job: &jobRow{
			Job: j.Job, SecretHash: dumped(j.Job.SecretHash), Lines: j.lines, LastSeq: j.seq, Logged: j.logged, History: j.history, Delayed: delayed,
		}}})
	}
}

func dumped(h queue.SecretHash) []byte {
	if h == (queue.SecretHash{}) {
		return nil
	}
	return h[:]
}

// restore reads one line. Processes and turns come before jobs.
func (s *Jobs) restore(rows *jobLines) error {
	switch {
	case rows.Process != nil:
		p := rows.Process
		if err := cmp.Or(p.check(), unseen("Process.ID", p.ID, s.processes)); err != nil {
			return err
		}
		s.processes[p.ID] = &process{
			id: p.ID, name: queue.CleanText(p.Name, queue.MaxActor), heartbeats: p.Heartbeats, heartbeatAt: p.HeartbeatAt, workers: p.Workers, lost: p.Lost, lostAt: p.LostAt,
			held: make(map[uuid.UUID]*job),
		}
	case rows.Turn != nil:
		if err := rows.Turn.check(); err != nil {
			return err
		}
		t := s.org(rows.Turn.Organization).turn(rows.Turn.Priority)
		t.claimed = rows.Turn.Claimed
		for tenant, last := range rows.Turn.Last {
			t.last[tenant] = last
		}
	case rows.Pause != nil:
		return s.restorePause(*rows.Pause)
	case rows.Job != nil:
		if err := cmp.Or(rows.Job.check(), unseen("Job.ID", rows.Job.ID, s.jobs)); err != nil {
			return err
		}
		rows.Job.clean()
		s.restoreJob(rows.Job)
	}
	return nil
}

func (s *Jobs) restoreJob(row *jobRow) {
	j := newJobRow(row.Job)
	j.lines, j.seq, j.logged, j.history = slices.Clone(row.Lines), row.LastSeq, row.Logged, slices.Clone(row.History)
	copy(j.Job.SecretHash[:], row.SecretHash)
	s.keepJob(j)
	if !j.State.Final() {
		s.reserve(j)
	}
	switch {
	case j.State.Final():
		heap.Push(s.ended, j)
	case j.State == queue.Running:
		s.org(j.Organization).running.Add(j.Lane(), j.Tenant, 1)
		p, ok := s.processes[j.Process]
		if !ok {
			p = &process{id: j.Process, held: make(map[uuid.UUID]*job)}
			s.processes[j.Process] = p
		}
		p.held[j.ID] = j
	case row.Delayed:
		s.delay(j)
	default:
		s.org(j.Organization).lane(j.Lane()).add(j)
	}
}
