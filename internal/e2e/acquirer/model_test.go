package acquirer_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// The invariant of the hand-off, on random histories of joins, leaves, postings, some under unique keys, ends, cancellations,
// retries by hand, pauses, store errors, lost answers, cut and disordered announcements, and processes that come, go and die: when nothing moves any more,
//
//   - no able worker sleeps while a runnable job is ready,
//   - every job that runs is in the hands of exactly one worker, unless its process died lately,
//   - of one job every fencing number was handed out once, and rising.
//
// There is no backup and no look of joining workers in it: a wake-up that is lost stays lost and is seen.
func TestHandOffModel(t *testing.T) {
	for range *rounds {
		synctest.Test(t, func(t *testing.T) { rapid.Check(timeless{t}, history) })
	}
}

func history(t *rapid.T) {
	m := newModel(context.Background(), t)
	defer m.end()
	t.Repeat(map[string]func(*rapid.T){
		"":                m.check,
		"join":            m.joins,
		"leave":           m.leaves,
		"post":            m.posts,
		"end":             m.ends,
		"cancel":          m.cancels,
		"retry":           m.retries,
		"pause":           m.pauses,
		"resume":          m.resumes,
		"wait a moment":   m.moment,
		"settle":          m.settle,
		"store errors":    m.faults,
		"announcements":   m.announcements,
		"process starts":  m.starts,
		"process stops":   m.stops,
		"process crashes": m.crashes,
	})
	m.settle(t)
}

// timeless hides the deadline of a test, which is not to be asked inside a bubble.
type timeless struct{ rapid.TB }

// rounds is for a long hunt: rapid ends a check after a day, and in a bubble a day is soon over.
var rounds = flag.Int("rounds", 1, "how often to check the model")

const maxProcesses = 3

// model is the history so far.
type model struct {
	ctx   context.Context
	stop  context.CancelFunc
	rng   *rand.Rand // how long calls take
	rngMu sync.Mutex

	store     *memory.Jobs
	bus       *acquirertest.Pubsub
	cfg       acquirer.Config
	processes []*process
	orgs      []uuid.UUID
	trouble   bool
	crashed   bool

	group   sync.WaitGroup
	workers []*worker
	posted  []uuid.UUID
	// fences is the last fencing number seen of each job; seen are the workers already counted.
	fences map[uuid.UUID]int64
	seen   map[*worker]bool
	// ended are the leases whose end was reported, or is being reported.
	endedMu sync.Mutex
	ended   map[queue.Lease]bool
}

func newModel(ctx context.Context, t *rapid.T) *model {
	ctx, stop := context.WithCancel(ctx)
	m := &model{
		ctx: ctx, stop: stop, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "latencies"), 0)),
		store: memory.NewJobs(), bus: &acquirertest.Pubsub{},
		cfg:  wakeUpsOnly(),
		orgs: []uuid.UUID{uuid.New(), uuid.New()}, fences: make(map[uuid.UUID]int64),
		seen: make(map[*worker]bool), ended: make(map[queue.Lease]bool),
	}
	if rapid.Bool().Draw(t, "limited") {
		m.cfg.Limits = queue.Limits{Types: map[string]int{"build": 2}}
	}
	m.starts(t)
	m.starts(t)
	time.Sleep(time.Second)
	return m
}

func (m *model) end() {
	m.calm()
	for _, w := range m.workers {
		w.cancel()
	}
	m.group.Wait()
	time.Sleep(time.Minute) // every call has returned
	for _, p := range m.processes {
		p.stop()
	}
	synctest.Wait()
}

func (m *model) aProcess(t *rapid.T) *process {
	return rapid.SampledFrom(m.processes).Draw(t, "process")
}

func (m *model) starts(t *rapid.T) {
	if len(m.processes) == maxProcesses {
		t.Skip("enough")
	}
	p, err := start(m.ctx, m.store, m.bus, m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.store.Choose(m.latency)
	m.processes = append(m.processes, p)
}

func (m *model) take(t *rapid.T) *process {
	if len(m.processes) < 2 {
		t.Skip("the last one")
	}
	p := m.aProcess(t)
	m.processes = slices.DeleteFunc(m.processes, func(q *process) bool { return q == p })
	return p
}

// stops ends a process as a host does: first what calls it, then itself.
func (m *model) stops(t *rapid.T) {
	p := m.take(t)
	p.calls.Wait()
	p.stop()
	// What is to turn ready later only it knew; the others learn it by a look.
	m.crashed = m.crashed || slices.ContainsFunc(m.jobs(), func(j queue.Job) bool {
		return j.State == queue.Pending && time.Until(j.ReadyAt) > -lately
	})
}

// crashes ends a process whose last calls all fail. What it had stored and not announced yet only a look can find, which
// is what the next settling does.
func (m *model) crashes(t *rapid.T) {
	p := m.take(t)
	m.crashed = true
	p.store.Choose(func(acquirertest.Verb) acquirertest.Fault { return acquirertest.Fault{Down: true} })
	p.stop()
}

var universe = []tags{nil, {"x": "1"}, {"y": "1"}, {"x": "1", "y": "1"}, {"x": "1", "y": "1", "z": "1"}}

func (m *model) joins(t *rapid.T) {
	r := queue.Request{
		Organization: rapid.SampledFrom(m.orgs).Draw(t, "organization"), Worker: uuid.New(),
		Types: rapid.SampledFrom([][]string{{"build"}, {"scan"}, {"build", "scan"}}).Draw(t, "types"),
		Tags:  rapid.SampledFrom(universe).Draw(t, "tags"),
	}
	m.workers = append(m.workers, m.aProcess(t).join(m.ctx, r, &m.group))
}

func (m *model) leaves(t *rapid.T) {
	var waiting []*worker
	for _, w := range m.workers {
		if over, _, _ := w.state(); !over {
			waiting = append(waiting, w)
		}
	}
	if len(waiting) == 0 {
		t.Skip("nobody waits")
	}
	rapid.SampledFrom(waiting).Draw(t, "worker").cancel()
}

// posts enqueues in the background: it takes its time, and everything else goes on.
func (m *model) posts(t *rapid.T) {
	p := m.aProcess(t)
	posting := queue.Posting{
		Organization: rapid.SampledFrom(m.orgs).Draw(t, "organization"), Tenant: uuid.New(),
		Type:     rapid.SampledFrom([]string{"build", "scan"}).Draw(t, "type"),
		Tags:     rapid.SampledFrom(universe).Draw(t, "tags"),
		Priority: rapid.Int16Range(0, 1).Draw(t, "priority"),
		Unique:   rapid.SampledFrom([]string{"", "", "", "a", "b"}).Draw(t, "unique"),
	}
	var postings []queue.Posting
	for range rapid.IntRange(1, 3).Draw(t, "jobs") {
		posting.ID = uuid.New()
		postings = append(postings, posting)
		m.posted = append(m.posted, posting.ID)
	}
	p.calls.Go(func() { _, _ = p.Enqueue(m.ctx, postings...) })
}

func (m *model) setEnded(lease queue.Lease, ended bool) {
	m.endedMu.Lock()
	defer m.endedMu.Unlock()
	m.ended[lease] = ended
}

func (m *model) hasEnded(lease queue.Lease) bool {
	m.endedMu.Lock()
	defer m.endedMu.Unlock()
	return m.ended[lease]
}

// held are the jobs that workers have and have not ended.
func (m *model) held() (list []queue.Job) {
	for _, w := range m.workers {
		if _, got, job := w.state(); got && !m.hasEnded(job.Lease()) {
			list = append(list, job)
		}
	}
	return list
}

func (m *model) ends(t *rapid.T) {
	held := m.held()
	if len(held) == 0 {
		t.Skip("nobody works")
	}
	job := rapid.SampledFrom(held).Draw(t, "job")
	m.setEnded(job.Lease(), true)
	end := queue.End{
		Handout: job.Handout(),
		Outcome: rapid.SampledFrom([]queue.Outcome{
			queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeRequeued, queue.OutcomeReleased,
		}).Draw(t, "outcome"),
		Delay: time.Duration(rapid.IntRange(0, 2).Draw(t, "delay")) * 500 * time.Millisecond,
	}
	p := m.aProcess(t)
	p.calls.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, 30*time.Second) // of a crashed process no end returns
		defer cancel()
		if _, err := p.End(ctx, end); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
			m.setEnded(job.Lease(), false) // the worker still has it
		}
	})
}

func (m *model) cancels(t *rapid.T) {
	if len(m.posted) == 0 {
		t.Skip("no job")
	}
	id, p := rapid.SampledFrom(m.posted).Draw(t, "job"), m.aProcess(t)
	p.calls.Go(func() { _, _ = p.Cancel(m.ctx, "not wanted", id) })
}

// moment is long enough for some calls to return and for others not to.
func (m *model) moment(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(0, 6000).Draw(t, "microseconds")) * time.Microsecond)
}

// latency is the fate of a store's call.
func (m *model) latency(v acquirertest.Verb) acquirertest.Fault {
	m.rngMu.Lock()
	defer m.rngMu.Unlock()
	before, after := upTo(m.rng, 3*time.Millisecond), upTo(m.rng, 3*time.Millisecond)
	fault := acquirertest.Fault{
		Before: func(context.Context) { time.Sleep(before) },
		After:  func(context.Context) { time.Sleep(after) },
	}
	// An enqueue that fails has announced nothing, which is its caller's to repeat; and a beat that fails is
	// another test's.
	if m.trouble && v != acquirertest.Enqueue && v != acquirertest.Operate && v != acquirertest.Heartbeat {
		n := m.rng.IntN(6)
		fault.Down, fault.Lost = n == 0, n == 1
	}
	return fault
}

func (m *model) faults(t *rapid.T) { m.setTrouble(rapid.Bool().Draw(t, "on")) }

func (m *model) setTrouble(on bool) {
	m.rngMu.Lock()
	defer m.rngMu.Unlock()
	m.trouble = on
}

func (m *model) announcements(t *rapid.T) {
	switch rapid.SampledFrom([]string{"pass", "double", "hold", "deliver", "cut"}).Draw(t, "fate") {
	case "pass":
		m.bus.Choose(nil)
	case "double":
		m.bus.Choose(func(string) acquirertest.Fate { return acquirertest.Double })
	case "hold":
		m.bus.Choose(func(string) acquirertest.Fate { return acquirertest.Hold })
	case "deliver":
		if n := m.bus.Held(); n > 0 {
			m.bus.Deliver(rapid.IntRange(0, n-1).Draw(t, "message"))
		}
	case "cut":
		m.bus.Cut(false)
	}
}

// calm ends all trouble.
func (m *model) calm() {
	m.setTrouble(false)
	m.bus.Choose(nil)
	for m.bus.Deliver(m.bus.Held() - 1) { // the last one first
	}
}

// settle lets everything come to rest, dead processes' jobs included, and looks.
func (m *model) settle(t *rapid.T) {
	m.calm()
	if m.crashed {
		time.Sleep(time.Minute) // its leases are over
		m.bus.Cut(false)
		m.crashed = false
	}
	time.Sleep(time.Minute) // pauses that are on their way are stored
	m.resumeAll(t)
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	m.check(t)
	m.noneSleeps(t)
	m.allInHands(t)
	m.promises(t)
}

// noneSleeps is the invariant.
func (m *model) noneSleeps(t *rapid.T) {
	for _, j := range ready(m.store, m.posted) {
		if m.atLimit(j) {
			continue
		}
		for _, w := range m.workers {
			if over, _, _ := w.state(); !over && w.runs(j) {
				t.Fatalf("a %s job with tags %v is ready, and a worker for %v with tags %v waits",
					j.Type, j.Tags.Map(), w.request.Types, w.request.Tags)
			}
		}
	}
}

func (m *model) atLimit(j queue.Job) bool {
	limit, limited := m.cfg.Limits.Types[j.Type]
	n := 0
	for _, other := range m.jobs() {
		if other.State == queue.Running && other.Type == j.Type && other.Organization == j.Organization {
			n++
		}
	}
	return limited && n >= limit
}

func (m *model) jobs() []queue.Job {
	jobs, _ := m.store.Jobs(context.Background(), queue.Filter{IDs: m.posted})
	return jobs
}

// allInHands: what runs is held by a worker.
func (m *model) allInHands(t *rapid.T) {
	held := make(map[queue.Lease]bool)
	for _, job := range m.held() {
		held[job.Lease()] = true
	}
	for _, job := range m.jobs() {
		if job.State == queue.Running && !held[job.Lease()] && time.Since(job.StartedAt) > lately {
			t.Fatalf("job %s runs under fence %d and no worker has it", job.ID, job.Fence)
		}
	}
}

// check is made after every action: fences rise, and limits hold.
func (m *model) check(t *rapid.T) {
	synctest.Wait()
	var fresh []queue.Job
	for _, w := range m.workers {
		if _, got, job := w.state(); got && !m.seen[w] {
			m.seen[w] = true
			fresh = append(fresh, job)
		}
	}
	slices.SortFunc(fresh, func(a, b queue.Job) int { return int(a.Fence - b.Fence) })
	for _, job := range fresh {
		if last := m.fences[job.ID]; job.Fence <= last {
			t.Fatalf("job %s was handed out with fence %d after %d", job.ID, job.Fence, last)
		}
		m.fences[job.ID] = job.Fence
	}
	m.limitsHold(t)
}

func (m *model) limitsHold(t *rapid.T) {
	running := make(map[string]int)
	for _, job := range m.jobs() {
		if job.State == queue.Running {
			running[fmt.Sprint(job.Organization, " ", job.Type)]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(running)) {
		for typ, limit := range m.cfg.Limits.Types {
			if n := running[kind]; n > limit && kind[len(kind)-len(typ):] == typ {
				t.Fatalf("%d jobs of %s run, the limit is %d", n, kind, limit)
			}
		}
	}
}
