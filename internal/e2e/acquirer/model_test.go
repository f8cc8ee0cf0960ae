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
)

// The invariants of the hand-off, on random histories with everything switched on: workers here and elsewhere that join, leave,
// report, fall silent, hang and are said to be gone; postings, some for later, some under unique keys, some with a time limit;
// ends, cancellations, retries by hand, pauses; policies that are slow, fail and panic; store errors and lost answers, of
// heartbeats too; cut and disordered announcements; processes that come, go, die, and are declared lost while they live. At any time
//
//   - of one job every fencing number was handed out once, and rising,
//   - a worker is not told to go on with a job that was handed to the next one,
//   - no limit is exceeded, and of a unique key there is one job that is not over,
//
// and when nothing moves any more,
//
//   - no able worker sleeps while a runnable job is ready,
//   - every job that runs is in the hands of exactly one worker, and of none that is silent or does not stop,
//   - no job was taken from a worker without a verdict, nor by one about what was not so any more,
//   - no process has broken a promise that it made to the store.
//
// There is no backup and no look of joining workers in it: a wake-up that is lost stays lost and is seen. With
// -args -rounds=100 it plays ten thousand histories.
func TestHandOffModel(t *testing.T) {
	var all played
	for range *rounds {
		synctest.Test(t, func(t *testing.T) {
			rapid.Check(timeless{t}, func(t *rapid.T) { history(t, &all) })
		})
	}
	all.worth(t, *rounds)
}

func history(t *rapid.T, all *played) {
	m := newModel(context.Background(), t)
	defer all.add(m)
	defer m.end()
	for range rapid.IntRange(0, 4).Draw(t, "at first") {
		m.joins(t)
		m.posts(t)
	}
	t.Repeat(map[string]func(*rapid.T){
		"":                m.check,
		"join":            m.joins,
		"another joins":   m.joins,
		"leave":           m.leaves,
		"post":            m.posts,
		"post more":       m.posts,
		"end":             m.ends,
		"report":          m.reports,
		"report again":    m.reports,
		"time passes":     m.passes,
		"gone":            m.gone,
		"judge":           m.judges,
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

// rounds of a hundred histories: rapid ends a check after a day, and in a bubble a day is soon over.
var rounds = flag.Int("rounds", 3, "how often to check the model")

const maxProcesses = 3

// model is the history so far.
type model struct {
	ctx   context.Context
	stop  context.CancelFunc
	rng   *rand.Rand // how long calls take
	rngMu sync.Mutex

	store     *ledger
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
	heard   heard
}

func newModel(ctx context.Context, t *rapid.T) *model {
	ctx, stop := context.WithCancel(ctx)
	m := &model{
		ctx: ctx, stop: stop, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "latencies"), 0)),
		store: newLedger(), bus: &acquirertest.Pubsub{},
		cfg:  wakeUpsOnly(),
		orgs: newOrganizations(), fences: make(map[uuid.UUID]int64),
		seen: make(map[*worker]bool), ended: make(map[queue.Lease]bool), heard: newHeard(),
	}
	m.cfg.Grace, m.cfg.Lost, m.cfg.Events = grace, map[string]acquirer.LostPolicy{"": m.policy}, m.heard.event
	if rapid.Bool().Draw(t, "limited") {
		m.cfg.Limits = queue.Limits{Types: map[string]int{"build": 2}}
	}
	m.starts(t)
	m.starts(t)
	time.Sleep(time.Second)
	return m
}

// newOrganizations are two, the first of which does most.
func newOrganizations() []uuid.UUID {
	first := uuid.New()
	return []uuid.UUID{first, first, first, uuid.New()}
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
	// What is to turn ready later only it knew, and what it stored without an answer in its last moment nobody; the others learn
	// it by a look.
	m.crashed = m.crashed || m.trouble || slices.ContainsFunc(m.jobs(), func(j queue.Job) bool {
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

var (
	universe = []tags{nil, {"x": "1"}, {"y": "1"}, {"x": "1", "y": "1"}, {"x": "1", "y": "1", "z": "1"}}
	// able has more of the workers who can run more.
	able = append(universe, universe[3], universe[4], universe[4])
)

func (m *model) joins(t *rapid.T) {
	r := queue.Request{
		Organization: rapid.SampledFrom(m.orgs).Draw(t, "organization"), Worker: uuid.New(),
		Types:   rapid.SampledFrom([][]string{{"build"}, {"scan"}, {"build", "scan"}, {"build", "scan"}}).Draw(t, "types"),
		Tags:    rapid.SampledFrom(able).Draw(t, "tags"),
		Silence: rapid.SampledFrom([]time.Duration{0, 0, silence}).Draw(t, "silence"),
	}
	w := &worker{request: r, remote: rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0}
	w.wait(m.ctx, m.aProcess(t), &m.group)
	m.workers = append(m.workers, w)
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
		RunLimit: rapid.SampledFrom([]time.Duration{0, 0, 2 * time.Second, time.Minute}).Draw(t, "limit of a run"),
	}
	if d := rapid.SampledFrom([]time.Duration{0, 0, 500 * time.Millisecond, 3 * time.Second}).Draw(t, "later"); d > 0 {
		posting.NotBefore = time.Now().Add(d)
	}
	var postings []queue.Posting
	for range rapid.IntRange(1, 3).Draw(t, "jobs") {
		posting.ID = uuid.New()
		postings = append(postings, posting)
		m.posted = append(m.posted, posting.ID)
	}
	p.calls.Go(func() {
		m.insist(func(ctx context.Context) error {
			_, err := p.Enqueue(ctx, postings...)
			return err
		})
	})
}

// insist asks again until there is an answer, as whoever calls has to.
func (m *model) insist(call func(context.Context) error) {
	ctx, cancel := m.patience()
	defer cancel()
	for call(ctx) != nil && pause(ctx, 100*time.Millisecond) {
	}
}

// patience bounds a call: of a crashed process none returns.
func (m *model) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.ctx, 30*time.Second)
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
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

// atWork are the workers who have a job and have not ended it.
func (m *model) atWork() (list []*worker) {
	for _, w := range m.workers {
		if _, got, job := w.state(); got && !m.hasEnded(job.Lease()) {
			list = append(list, w)
		}
	}
	return list
}

func (m *model) aWorker(t *rapid.T) (*worker, queue.Job) {
	list := m.atWork()
	if len(list) == 0 {
		t.Skip("nobody works")
	}
	w := rapid.SampledFrom(list).Draw(t, "worker")
	_, _, job := w.state()
	return w, job
}

func (m *model) ends(t *rapid.T) {
	w, job := m.aWorker(t)
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
		ctx, cancel := m.patience()
		defer cancel()
		if _, err := w.of(p).End(ctx, end); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
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

// passes is long enough for workers to fall silent and for policies to decide, or not.
func (m *model) passes(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
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
	if m.trouble {
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
	m.noneHangs(t)
	m.verdicts(t)
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
	for _, w := range m.atWork() {
		_, _, job := w.state()
		held[job.Lease()] = true
	}
	for _, job := range m.jobs() {
		if job.State == queue.Running && !held[job.Lease()] && time.Since(job.StartedAt) > lately {
			t.Fatalf("job %s runs under fence %d and no worker has it", job.ID, job.Fence)
		}
	}
}

// check is made after every action.
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
	m.heard.hand(m.fences)
	if broken := m.heard.firstBroken(); broken != "" {
		t.Fatal(broken)
	}
	m.limitsHold(t)
	m.uniqueKeys(t)
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
