package acquirer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

const (
	// silence is what a worker of the model agrees on, grace how long one that was told to stop may take.
	silence = 6 * time.Second
	grace   = 10 * time.Second
	// overdue is how much later than that a job may still be with its worker in calm: its process may have to be found lost first.
	overdue = time.Minute
)

// heard is what was said about leases: by workers, to workers, and by policies.
type heard struct {
	mu sync.Mutex
	// handed is the last fencing number of each job that a worker has got.
	handed map[uuid.UUID]int64
	// goOn is when the last report began whose worker was told to go on, and verdict when the policy was last asked that decided.
	goOn, verdict map[queue.Lease]time.Time
	// byHand are leases about which somebody decided who does not heed reports.
	byHand map[queue.Lease]bool
	broken string
	events map[queue.EventKind]int
}

func newHeard() heard {
	return heard{
		handed: make(map[uuid.UUID]int64), goOn: make(map[queue.Lease]time.Time), verdict: make(map[queue.Lease]time.Time),
		byHand: make(map[queue.Lease]bool), events: make(map[queue.EventKind]int),
	}
}

func (h *heard) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *heard) event(e queue.Event) { h.do(func() { h.events[e.Kind]++ }) }

func (h *heard) hand(fences map[uuid.UUID]int64) { h.do(func() { maps.Copy(h.handed, fences) }) }

func (h *heard) firstBroken() (text string) {
	h.do(func() { text = h.broken })
	return text
}

// reports lets a worker say to any process that it lives.
func (m *model) reports(t *rapid.T) {
	w, job := m.aWorker(t)
	p := m.aProcess(t)
	p.calls.Go(func() { m.report(w, p, job) })
}

func (m *model) report(w *worker, p *process, job queue.Job) {
	ctx, cancel := m.patience()
	defer cancel()
	h, lease := &m.heard, job.Lease()
	var next int64
	h.do(func() { next = h.handed[job.ID] })
	begun := time.Now()
	canceled, err := w.of(p).Renew(ctx, queue.Report{Handout: job.Handout()})
	switch {
	case errors.Is(err, queue.ErrLeaseLost):
		m.setEnded(lease, true)
	case err != nil || canceled: // it goes on as it likes
	case next > lease.Fence:
		h.do(func() {
			h.broken = fmt.Sprintf("the worker of %v was told to go on after fence %d was handed out", lease, next)
		})
	default:
		h.do(func() { h.goOn[lease] = begun })
	}
}

// gone tells a process that a worker is gone, which it may not be.
func (m *model) gone(t *rapid.T) {
	_, job := m.aWorker(t)
	p := m.aProcess(t)
	m.heard.do(func() { m.heard.byHand[job.Lease()] = true })
	p.calls.Go(func() { _ = p.Lost(m.ctx, "its machine has ended", job.Lease()) })
}

// judges ends an attempt by the word of whoever runs the machines.
func (m *model) judges(t *rapid.T) {
	_, job := m.aWorker(t)
	p, v := m.aProcess(t), acquirer.Verdict{
		Outcome: rapid.SampledFrom([]queue.Outcome{queue.OutcomeFailed, queue.OutcomeRequeued}).Draw(t, "outcome"),
	}
	m.heard.do(func() { m.heard.byHand[job.Lease()], m.heard.verdict[job.Lease()] = true, time.Now() })
	p.calls.Go(func() {
		m.insist(func(ctx context.Context) error {
			err := p.Judge(ctx, job.Lease(), v)
			if err == nil {
				m.setEnded(job.Lease(), true)
			}
			if errors.Is(err, queue.ErrLeaseLost) {
				return nil
			}
			return err
		})
	})
}

// policy decides about lost jobs. In trouble it takes longer than a lease, fails, and panics.
func (m *model) policy(ctx context.Context, lost acquirer.Job) (acquirer.Verdict, error) {
	begun := time.Now()
	m.rngMu.Lock()
	wait, fate, v := upTo(m.rng, 3*time.Millisecond), 0, acquirer.Verdict{Outcome: queue.OutcomeRequeued, Delay: upTo(m.rng, 2*time.Second)}
	if m.trouble {
		wait, fate = upTo(m.rng, 40*time.Second), m.rng.IntN(6)
	}
	if m.rng.IntN(4) == 0 {
		v.Outcome = queue.OutcomeFailed
	}
	m.rngMu.Unlock()
	switch {
	case !pause(ctx, wait):
		return v, ctx.Err()
	case fate == 1:
		return v, errors.New("no idea")
	case fate == 2:
		panic("no idea at all")
	}
	m.heard.do(func() {
		if begun.After(m.heard.verdict[lost.Lease()]) { // one that took longer may have been asked before
			m.heard.verdict[lost.Lease()] = begun
		}
	})
	return v, nil
}

// noneHangs: what has been silent, or was to stop, for long enough, does not run any more.
func (m *model) noneHangs(t *rapid.T) {
	patient := make(map[queue.Lease]bool)
	for _, w := range m.workers {
		if _, got, job := w.state(); got && w.request.Silence == 0 && !w.remote {
			patient[job.Lease()] = true
		}
	}
	for _, j := range m.jobs() {
		if j.State != queue.Running {
			continue
		}
		since := func(at time.Time) time.Duration { return time.Since(at) - overdue }
		last := j.StartedAt
		m.heard.do(func() {
			if at := m.heard.goOn[j.Lease()]; at.After(last) {
				last = at
			}
		})
		switch {
		case j.RunLimit > 0 && since(j.StartedAt) > j.RunLimit+grace:
			t.Fatalf("job %s with a limit of %s runs since %s", j.ID, j.RunLimit, time.Since(j.StartedAt))
		case !j.CancelAt.IsZero() && since(j.CancelAt) > grace:
			t.Fatalf("job %s runs %s after its cancellation", j.ID, time.Since(j.CancelAt))
		case !patient[j.Lease()] && since(last) > 30*time.Second:
			t.Fatalf("job %s runs, and its worker was last heard of %s ago", j.ID, time.Since(last))
		}
	}
}

// verdicts: each attempt that a process has ended was judged, and not by what was not so any more; each job that one has given
// back as never handed out was not handed out.
func (m *model) verdicts(t *rapid.T) {
	given := make(map[queue.Lease]bool)
	for _, w := range m.workers {
		if _, got, job := w.state(); got {
			given[job.Lease()] = true
		}
	}
	m.heard.mu.Lock()
	defer m.heard.mu.Unlock()
	for lease, taken := range m.store.all() {
		asked, judged := m.heard.verdict[lease]
		switch {
		case taken.outcome == queue.OutcomeReleased && given[lease]:
			t.Fatalf("%v was given back as if no worker had got it", lease)
		case taken.outcome == queue.OutcomeReleased:
		case !judged:
			t.Fatalf("%v was ended as %v without a verdict", lease, taken.outcome)
		case m.heard.byHand[lease] || taken.mayHang:
		case m.heard.goOn[lease].After(asked) && m.heard.goOn[lease].Before(taken.at):
			t.Fatalf("%v was taken at %s by a verdict of %s from a worker that was told to go on at %s",
				lease, taken.at, asked, m.heard.goOn[lease])
		}
	}
}

// uniqueKeys: of one key there is one job that is not over.
func (m *model) uniqueKeys(t *rapid.T) {
	type key struct {
		organization uuid.UUID
		kind, unique string
	}
	seen := make(map[key]uuid.UUID)
	for _, j := range m.jobs() {
		if j.Unique == "" || j.State.Final() {
			continue
		}
		k := key{j.Organization, j.Type, j.Unique}
		if other, twice := seen[k]; twice {
			t.Fatalf("jobs %s and %s are there under one key", other, j.ID)
		}
		seen[k] = j.ID
	}
}

// played is what all histories came to: a model that plays nothing of a kind is found out.
type played struct {
	elsewhere, late int
	events          map[queue.EventKind]int
	taken           map[queue.Outcome]int
}

func (p *played) add(m *model) {
	if p.events == nil {
		p.events, p.taken = make(map[queue.EventKind]int), make(map[queue.Outcome]int)
	}
	m.heard.do(func() {
		for kind, n := range m.heard.events {
			p.events[kind] += n
		}
	})
	for _, taken := range m.store.all() {
		p.taken[taken.outcome]++
	}
	for _, w := range m.workers {
		if _, got, _ := w.state(); got && w.remote {
			p.elsewhere++
		}
	}
	for _, j := range m.jobs() {
		if j.ReadyAt.After(j.CreatedAt) && j.Fence > 0 {
			p.late++
		}
	}
}

func (p *played) worth(t *testing.T, rounds int) {
	t.Logf("%d rounds: %+v", rounds, *p)
	for what, n := range map[string]int{
		"jobs of workers elsewhere": p.elsewhere, "delayed jobs": p.late, "jobs of lost workers": p.events[queue.EventReaped],
		"runs at their limit": p.events[queue.EventTimeout], "lost processes": p.events[queue.EventProcessLost],
		"jobs given back that nobody got": p.taken[queue.OutcomeReleased],
		"jobs requeued by a verdict":      p.taken[queue.OutcomeRequeued], "jobs failed by one": p.taken[queue.OutcomeFailed],
	} {
		if n == 0 {
			t.Errorf("the model has played no %s", what)
		}
	}
}
