package leases_test

import (
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

var histories = flag.Int("histories", 500, "how many histories the model plays")

// TestModel plays histories of some processes, each with a book, on one store: workers here and far away that report, move,
// fall silent and come back; policies that err and take their time; calls that are slow, lost on the way, or carried out
// after they were given up; processes that are killed, cut off or declared lost while they live. These must hold:
//
//   - No job changes hands without a verdict: a running job turns pending or failed only by its worker's end, by a policy's
//     verdict, or by a release of a job that no worker was ever given.
//   - No verdict is stored about a worker that has been told to go on since it was doubted, but for one that was told to stop,
//     because its run had reached its limit or its job was canceled, and has not for the length of a grace.
//   - A worker that hangs loses its job all the same.
//   - When the faults are over, no job is left with a worker that is gone, and the books agree with the store.
func TestModel(t *testing.T) {
	t.Parallel()
	var all totals
	if raced && *histories == 500 {
		*histories = 100
	}
	for seed := range *histories {
		w := newWorld(uint64(seed))
		if err := w.play(); err != nil {
			t.Fatalf("history %d: %v", seed, err)
		}
		all.verdicts += w.verdicts
		all.overdue += w.overdue
	}
	if all.verdicts < *histories || all.overdue < *histories/20 {
		t.Errorf("%d histories came to %+v: the model plays too little", *histories, all)
	}
}

// world is a store, and everybody who calls it, on a clock of its own.
type world struct {
	*rand.Rand
	now    time.Time
	events eventHeap
	n      int
	faults bool
	err    error

	jobs      map[uuid.UUID]*modelJob
	silent    []uuid.UUID // processes
	lost      map[uuid.UUID]bool
	processes []*process
	given     map[queue.Lease]bool
	toldAt    map[queue.Lease]time.Time // when the last report was stored whose worker was told to go on
	stopAt    map[queue.Lease]time.Time // when the worker was first told to stop
	verdicts  int
	overdue   int // of them, about workers that did not stop
}

type modelJob struct {
	queue.Job
}

const (
	patience = 30 * time.Second // how long a worker may be silent
	lease    = 30 * time.Second
	grace    = time.Minute
)

// totals are what all histories came to, so that a model which plays nothing of a kind is found out.
type totals struct{ verdicts, overdue int }

func newWorld(seed uint64) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_000_000, 0), faults: true,
		jobs: make(map[uuid.UUID]*modelJob), lost: make(map[uuid.UUID]bool),
		given: make(map[queue.Lease]bool), toldAt: make(map[queue.Lease]time.Time),
		stopAt: make(map[queue.Lease]time.Time),
	}
	for range 6 {
		id := w.id()
		w.jobs[id] = &modelJob{queue.Job{ID: id, Type: "build", State: queue.Pending}}
		if w.IntN(2) == 0 {
			w.jobs[id].RunLimit = time.Minute + w.delay(2*time.Minute)
		}
	}
	return w
}

func (w *world) id() (id uuid.UUID) {
	w.n++
	id[0], id[1], id[15] = byte(w.n), byte(w.n>>8), 1
	return id
}

func (w *world) chance(percent int) bool { return w.faults && w.IntN(100) < percent }

// in plans something; delay is a random time up to d.
func (w *world) in(d time.Duration, f func()) {
	w.n++
	heap.Push(&w.events, event{w.now.Add(d), w.n, f})
}

func (w *world) delay(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d)) + 1) }

func (w *world) play() error {
	for range 3 {
		p := &process{world: w}
		w.processes = append(w.processes, p)
		p.start()
	}
	w.in(10*time.Minute, func() { w.faults = false })
	end := w.now.Add(30 * time.Minute)
	for n := 0; w.err == nil && (n%32 != 0 || !w.over()) && w.events[0].at.Before(end); n++ {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	if w.err == nil {
		w.checkSettled()
	}
	return w.err
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %s: "+format, append([]any{w.now.Sub(time.Unix(1_000_000, 0))}, args...)...)
	}
}

// over reports whether nothing can happen any more.
func (w *world) over() bool {
	for _, j := range w.jobs {
		if !j.State.Final() {
			return false
		}
	}
	for _, p := range w.processes {
		for range p.book.All {
			return false
		}
	}
	return true
}

// checkSettled holds the books against the store.
func (w *world) checkSettled() {
	for _, j := range w.jobs {
		if j.State == queue.Running {
			w.fail("job %s still runs at process %s, fence %d", j.ID, j.Process, j.Fence)
		}
	}
	for _, p := range w.processes {
		for e := range p.book.All {
			w.fail("lease %v is still in a book, state %d", e.Job.Lease(), e.State())
		}
	}
}

// call carries out a call of the store after a while and answers after a while. Faults lose it, lose its answer, or carry it
// out after the answer was given up.
func (w *world) call(do func() error, answer func(error)) {
	errLost := errors.New("no answer")
	switch {
	case w.chance(5):
		w.in(w.delay(10*time.Second), func() { answer(errLost) })
	case w.chance(5):
		w.in(w.delay(20*time.Second), func() { _ = do() })
		w.in(w.delay(10*time.Second), func() { answer(errLost) })
	default:
		slow := 100 * time.Millisecond
		if w.chance(10) {
			slow = 8 * time.Second
		}
		w.in(w.delay(slow), func() {
			err := do()
			w.in(w.delay(slow), func() { answer(err) })
		})
	}
}

// running is the job of a lease that is the live one.
func (w *world) running(l queue.Lease) (*modelJob, bool) {
	j := w.jobs[l.Job]
	return j, j.State == queue.Running && j.Fence == l.Fence
}

// end is the store's verb. Why says who ends.
func (w *world) end(l queue.Lease, process uuid.UUID, o queue.Outcome, why string, overdue bool, seen time.Time) error {
	j, ok := w.running(l)
	if !ok || process != uuid.Nil && j.Process != process {
		if j.Fence == l.Fence && j.State == o.State() {
			return nil
		}
		return queue.ErrLeaseLost
	}
	switch {
	case o == queue.OutcomeReleased && w.given[l]:
		w.fail("%v was released though a worker was given it (%s)", l, why)
	case overdue:
		if told, ok := w.stopAt[l]; !ok || w.now.Sub(told) < grace {
			w.fail("%v was given up %s after its worker was told to stop", l, w.now.Sub(told))
		}
		w.overdue++
	case why != "worker" && o != queue.OutcomeReleased && w.toldAt[l].After(seen):
		w.fail("%v was taken from a worker that was told to go on after it was doubted", l)
	}
	if j.State = o.State(); j.State == queue.Pending && !j.CancelAt.IsZero() {
		j.State = queue.Canceled
	}
	return nil
}

func (w *world) held(process uuid.UUID) (jobs []queue.Job) {
	for _, p := range w.sorted() {
		if p.State == queue.Running && p.Process == process {
			jobs = append(jobs, p.Job)
		}
	}
	return jobs
}

// sorted keeps histories the same for a seed.
func (w *world) sorted() (list []*modelJob) {
	for n := range 10 {
		var id uuid.UUID
		id[0], id[15] = byte(n), 1
		if j, ok := w.jobs[id]; ok {
			list = append(list, j)
		}
	}
	return list
}

// process is what the acquirer does with its book.
type process struct {
	*world
	self uuid.UUID
	book *leases.Book
	life int // moves with each death; what was planned before is void
}

func (p *process) start() {
	p.self, p.book = p.id(), leases.New(func(j queue.Job) time.Duration { return j.RunLimit })
	p.book.Silence = patience
	p.life++
	p.every(time.Second, p.claim)
	p.every(time.Second, p.look)
	p.every(20*time.Second, p.compare)
	p.every(10*time.Second, p.heartbeat)
	p.every(10*time.Second, p.mishap)
	p.every(time.Minute, p.cancel)
}

// mine is f, if the process has not died since.
func (p *process) mine(f func()) func() {
	life := p.life
	return func() {
		if p.life == life {
			f()
		}
	}
}

// alive is mine for answers.
func (p *process) alive(f func(error)) func(error) {
	life := p.life
	return func(err error) {
		if p.life == life {
			f(err)
		}
	}
}

func (p *process) every(d time.Duration, f func()) {
	p.in(p.delay(d), p.mine(func() {
		f()
		p.every(d, f)
	}))
}

// mishap kills the process, or has it give up its leases; after a lease others take its jobs.
func (p *process) mishap() {
	switch {
	case p.chance(3):
		p.bury(p.self, lease)
		p.start()
	case p.chance(3):
		p.bury(p.self, lease-10*time.Second) // fenced before the others act
		p.book.Drop(p.self)
		p.self = p.id()
	case p.chance(2):
		p.bury(p.self, 0) // declared lost, and has not heard of it
	}
}

// bury lets the others find out after a while that a process is silent.
func (p *process) bury(id uuid.UUID, after time.Duration) {
	p.in(after, func() { p.silent = append(p.silent, id) })
}

// heartbeat names the silent processes, and the lost ones as long as they hold jobs.
func (p *process) heartbeat() {
	for _, id := range p.silent {
		if !p.lost[id] || len(p.held(id)) > 0 {
			p.reap(id)
		}
	}
}

func (p *process) reap(id uuid.UUID) {
	asked := p.now
	var jobs []queue.Job
	p.call(func() error {
		p.lost[id] = true
		jobs = p.held(id)
		return nil
	}, p.alive(func(err error) {
		if err != nil {
			return
		}
		if id == p.self {
			p.book.Drop(p.self)
			p.self = p.id()
		}
		for _, j := range jobs {
			p.book.Suspect(j, "process lost", asked, p.now)
		}
	}))
}

func (p *process) claim() {
	token, self := p.id(), p.self
	if p.lost[self] {
		p.in(p.delay(10*time.Second), p.mine(func() {
			if p.self == self {
				p.book.Drop(self)
				p.self = p.id()
			}
		}))
		return
	}
	p.book.Open(token)
	var got *queue.Job
	p.call(func() error {
		for _, j := range p.sorted() {
			if j.State == queue.Pending && !p.lost[self] && p.faults {
				j.State, j.Process, j.Token, j.StartedAt = queue.Running, self, token, p.now
				j.Fence++
				job := j.Job
				got = &job
				return nil
			}
		}
		return nil
	}, p.alive(func(err error) {
		if err == nil {
			p.claimed(token, self, got, false)
			return
		}
		p.in(time.Second, p.mine(func() { p.claimed(token, self, got, true) }))
	}))
}

// claimed is the answer to a claim, or what is found out about one without: sometimes too early.
func (p *process) claimed(token, self uuid.UUID, got *queue.Job, late bool) {
	if self != p.self {
		return
	}
	if got != nil {
		if j, ok := p.running(got.Lease()); !ok || j.Process != self {
			got = nil
		}
	}
	if late {
		p.book.CloseLate(token, p.now)
	} else {
		p.book.Close(token)
	}
	switch {
	case got == nil || p.book.Find(got.Lease()) != nil:
	case p.chance(10): // its waiter has left
		p.store(p.book.Return(*got), queue.OutcomeReleased, p.now)
	default:
		silence := patience
		if p.IntN(2) == 0 {
			silence = 0
		}
		p.book.Hold(*got, silence, p.now)
		p.given[got.Lease()] = true
		p.work(got.Lease(), silence, got.RunLimit > 0 && p.IntN(4) == 0)
	}
}

// stop tells the worker of an entry to stop.
func (p *process) stop(e *leases.Entry, give time.Time) {
	if l := e.Job.Lease(); p.stopAt[l].IsZero() {
		p.stopAt[l] = give.Add(-grace)
	}
	p.book.Stop(e, "it did not stop", give)
}

// cancel asks for a job's cancellation; whoever keeps it hears of it after a while.
func (p *process) cancel() {
	jobs := p.sorted()
	j := jobs[p.IntN(len(jobs))]
	if !p.chance(10) || j.State != queue.Running || !j.CancelAt.IsZero() {
		return
	}
	j.CancelAt = p.now
	l := j.Lease()
	for _, other := range p.processes {
		other.in(other.delay(20*time.Second), other.mine(func() { other.canceled(l) }))
	}
}

func (p *process) canceled(l queue.Lease) {
	if e := p.book.Find(l); e != nil {
		p.stop(e, p.now.Add(grace))
	}
}

// work is a worker's life with a job: far away it reports to any process, here to its own.
// One that hangs reports as long as it is told to go on, and stops for nothing else.
func (p *process) work(l queue.Lease, silence time.Duration, hangs bool) {
	reports := p.IntN(20)
	at := p
	var step func()
	step = func() {
		if silence > 0 && p.chance(20) {
			at = p.processes[p.IntN(len(p.processes))]
		}
		switch {
		case hangs:
		case !p.stopAt[l].IsZero() && p.IntN(3) == 0:
			reports = 0
		case silence > 0 && p.chance(5):
			return // gone for good
		case silence > 0 && p.chance(10):
			p.in(p.delay(3*patience), step) // silent for a while
			return
		}
		if reports == 0 && !hangs {
			at.endBy(l, silence, step)
			return
		}
		reports = max(reports-1, 0)
		at.report(l, silence, func(goOn bool) {
			if goOn {
				p.in(p.delay(10*time.Second), step)
			}
		})
	}
	if silence == 0 {
		step = p.mine(step) // dies with its process
	}
	p.in(p.delay(time.Second), step)
}

// report answers whether the worker goes on; after an error it does.
func (p *process) report(l queue.Lease, silence time.Duration, answer func(goOn bool)) {
	self := p.self
	job := queue.Job{ID: l.Job, Fence: l.Fence}
	if p.book.Find(l) == nil { // it is looked up before it is entered
		j, ok := p.running(l)
		if !ok {
			answer(false)
			return
		}
		job = j.Job
	}
	if p.IntN(2) == 0 {
		silence = 0 // what was agreed on
	}
	call, err := p.book.Report(job, self, silence, p.now)
	if err != nil {
		answer(true)
		return
	}
	life := p.life
	var applied time.Time
	p.call(func() error {
		j, ok := p.running(l)
		switch {
		case !ok:
			return queue.ErrLeaseLost
		case p.lost[self]:
			return queue.ErrProcessLost
		}
		j.Process, applied = self, p.now
		return nil
	}, func(err error) {
		if p.life != life {
			answer(true)
			return
		}
		switch {
		case errors.Is(err, queue.ErrLeaseLost):
			p.book.Over(call)
		case errors.Is(err, queue.ErrProcessLost):
			p.book.Refused(call, p.now)
		case err != nil:
			p.book.Unknown(call, p.now)
		default:
			p.book.Renewed(call, self, p.now)
			p.toldAt[l] = applied
			if j, ok := p.running(l); ok && !j.CancelAt.IsZero() {
				p.canceled(l)
			}
		}
		answer(!errors.Is(err, queue.ErrLeaseLost))
	})
}

// endBy is a worker's end; one that gets no answer is given up or comes again.
func (p *process) endBy(l queue.Lease, silence time.Duration, again func()) {
	call, err := p.book.End(l, p.now)
	if err != nil {
		p.in(time.Second, again)
		return
	}
	life := p.life
	p.call(func() error { return p.end(l, uuid.Nil, queue.OutcomeSucceeded, "worker", false, p.now) }, func(err error) {
		switch {
		case p.life != life:
		case err == nil || errors.Is(err, queue.ErrLeaseLost):
			p.book.Over(call)
			return
		default:
			p.book.GiveUp(call, "end given up", p.now)
		}
		if silence > 0 {
			p.in(time.Second, again)
		}
	})
}

func (p *process) compare() {
	self, asked := p.self, p.now
	var named []queue.Job
	p.call(func() error {
		named = p.held(self)
		return nil
	}, p.alive(func(err error) {
		if err != nil || p.self != self {
			return
		}
		strays, _ := p.book.Compare(self, named, asked, p.now)
		for _, d := range strays {
			p.store(d, queue.OutcomeReleased, p.now)
		}
	}))
}

// look takes what is due in the book to the judges.
func (p *process) look() {
	doubts, stops := p.book.Due(p.now)
	for _, e := range stops {
		p.stop(e, p.now.Add(grace))
	}
	for _, d := range doubts {
		p.judge(d)
	}
}

func (p *process) judge(d leases.Doubt) {
	seen := p.now
	if !d.Seen {
		if p.chance(20) {
			p.book.Postpone(d, p.now.Add(5*time.Second))
			return
		}
		var ok bool
		if d, ok = p.book.See(d, p.jobs[d.Lease.Job].Job, p.self); !ok {
			return
		}
	}
	if !d.Handed {
		p.store(d, queue.OutcomeReleased, seen)
		return
	}
	p.in(p.delay(time.Minute), p.mine(func() { // the policy
		if p.chance(30) {
			p.book.Postpone(d, p.now.Add(5*time.Second))
			return
		}
		p.verdicts++
		outcome := queue.OutcomeRequeued
		if p.IntN(2) == 0 {
			outcome = queue.OutcomeFailed
		}
		p.store(d, outcome, seen)
	}))
}

func (p *process) store(d leases.Doubt, o queue.Outcome, seen time.Time) {
	if p.book.Judge(d) == nil {
		return
	}
	p.call(func() error { return p.end(d.Lease, d.Job.Process, o, d.Why, d.Overdue, seen) }, p.alive(func(err error) {
		switch {
		case err == nil:
			p.book.Judged(d)
		case errors.Is(err, queue.ErrLeaseLost):
			p.book.Postpone(d, p.now)
		default:
			p.in(time.Second, p.mine(func() { p.store(d, o, seen) })) // until there is an answer
		}
	}))
}

// event is something planned.
type event struct {
	at time.Time
	n  int
	do func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, k int) bool {
	if !h[i].at.Equal(h[k].at) {
		return h[i].at.Before(h[k].at)
	}
	return h[i].n < h[k].n
}
func (h eventHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
