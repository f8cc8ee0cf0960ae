package leases

import (
	"container/heap"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// ErrJudged says that an end of the lease is being stored; the worker has to ask again. It is passing.
var ErrJudged = errors.New("leases: the job's end is being decided")

// State is where a lease is. What is only claimed has no entry.
type State int

// The states.
const (
	Held State = iota
	Doubtful
	Judged
)

// Book holds the leases of one process, and those of lost processes that it decides about. It is not safe for concurrent
// use. See [New].
type Book struct {
	// Silence is how long a worker may go unheard that was given its job by another process and does not say it itself. Zero is
	// for ever, which nobody should be waited for who does not end with this process.
	Silence time.Duration

	entries map[queue.Lease]*Entry
	// open are the tokens of claims whose jobs are not known yet; late are those of claims whose answer was lost, which may
	// still be carried out after they were looked up, with when that was.
	open map[uuid.UUID]struct{}
	late map[uuid.UUID]time.Time
	// due holds the entries that something happens to by itself, the earliest on top.
	due dueHeap
	// doubts counts the doubts so far.
	doubts uint64
	// own counts the entries of each process.
	own map[uuid.UUID]int
	// limit is how long an attempt at a job may take, 0 for ever; nil: no attempt has a limit.
	limit func(queue.Job) time.Duration
}

// Entry is one lease. Callers read its exported fields and may change Owner.
type Entry struct {
	// Job as the store named it last; no more than its id, fence and process while nobody has looked it up.
	Job queue.Job
	// seen: the store has named the job so. It has not if the answer to a report was lost, or an end was refused.
	seen bool
	// Owner is the caller's; the machine does not look at it.
	Owner any

	state State
	// agreed: it was agreed with the worker how long it may be silent. It was not if the job was handed out elsewhere.
	agreed bool
	// handed: a worker may be at work on the job. False: no worker was ever given it, and giving it back needs no policy.
	handed bool
	// silence is how long the worker may go unheard, zero for ever; heardAt is when it was last heard.
	silence time.Duration
	heardAt time.Time
	// calls is the number of the worker's calls under way: while there is one it is not silent.
	calls int
	// doubt is the number of the present doubt and why its reason.
	doubt uint64
	why   string
	run   run

	dueAt time.Time
	index int // in the heap; -1 outside
}

// State is where the lease is.
func (e *Entry) State() State { return e.state }

// HeardAt is when the worker was last heard.
func (e *Entry) HeardAt() time.Time { return e.heardAt }

// Doubt asks for a verdict about a lease.
type Doubt struct {
	Lease queue.Lease
	// Job is [Entry.Job].
	Job queue.Job
	// Why is the reason in words, for people.
	Why string
	// Handed: a worker may be at work on the job, so a policy has to decide. Otherwise it is given back.
	Handed bool
	// Seen: Job is as the store named it. Otherwise it has to be looked up first, see [Book.See].
	Seen bool
	// Overdue: the worker lives, and does not stop although it was told to.
	Overdue bool

	number uint64
}

// New returns an empty book. The function says how long an attempt at a job may take, 0 meaning for ever; nil limits none.
func New(limit func(queue.Job) time.Duration) *Book {
	return &Book{
		limit: limit, entries: make(map[queue.Lease]*Entry), own: make(map[uuid.UUID]int),
		open: make(map[uuid.UUID]struct{}), late: make(map[uuid.UUID]time.Time),
	}
}

// Open notes a claim that is under way: what the store names with its token is no stray until it is closed.
func (b *Book) Open(token uuid.UUID) { b.open[token] = struct{}{} }

// Close notes the answer to a claim.
func (b *Book) Close(token uuid.UUID) { delete(b.open, token) }

// CloseLate notes that a claim whose answer was lost has been looked up at a time.
func (b *Book) CloseLate(token uuid.UUID, now time.Time) {
	delete(b.open, token)
	b.late[token] = now
}

// Find returns the entry of a lease, or nil.
func (b *Book) Find(l queue.Lease) *Entry { return b.entries[l] }

// Len is the number of leases of a process in the book.
func (b *Book) Len(process uuid.UUID) int { return b.own[process] }

// All yields the entries in no particular order. The book must not change meanwhile.
func (b *Book) All(yield func(*Entry) bool) {
	for _, e := range b.entries {
		if !yield(e) {
			return
		}
	}
}

// Hold puts a claimed job into a worker's hands, or into another worker's if the first never got it. Its run begins now.
func (b *Book) Hold(job queue.Job, silence time.Duration, now time.Time) *Entry {
	e := b.enter(job)
	b.turn(e, Held)
	e.handed, e.agreed, e.silence, e.heardAt, e.run = true, true, silence, now, run{}
	b.limitRun(e, now)
	b.plan(e)
	return e
}

// Return begins to give back a job that no worker got. The doubt is judged already: an end is to be stored.
func (b *Book) Return(job queue.Job) Doubt {
	e := b.enter(job)
	e.handed = false
	b.raise(e, "no worker got it", time.Time{})
	b.turn(e, Judged)
	return e.asDoubt()
}

// Suspect puts a job in doubt that the store has named, asked at a time, as one of a lost process. It reports whether the
// job is new in the book. A lease that is in doubt already, or whose worker was heard since the question, stays as it is.
func (b *Book) Suspect(job queue.Job, why string, asked, now time.Time) (entered bool) {
	e, known := b.entries[job.Lease()]
	if known && (e.state != Held || e.calls > 0 || !e.heardAt.Before(asked)) {
		return false
	}
	e = b.enter(job)
	e.handed = true
	b.raise(e, why, now)
	return !known
}

// enter returns the entry of a job as the store has named it, a new one if there is none.
func (b *Book) enter(job queue.Job) *Entry {
	e, ok := b.entries[job.Lease()]
	if !ok {
		e = &Entry{Job: job, index: -1}
		b.entries[job.Lease()] = e
		b.own[job.Process]++
	}
	b.name(e, job)
	return e
}

// name notes how the store has named an entry's job.
func (b *Book) name(e *Entry, job queue.Job) {
	b.move(e, job.Process)
	e.Job, e.seen = job, true
	b.limitRun(e, job.StartedAt)
}

func (b *Book) move(e *Entry, process uuid.UUID) {
	if e.Job.Process == process {
		return
	}
	b.own[e.Job.Process]--
	if b.own[e.Job.Process] <= 0 {
		delete(b.own, e.Job.Process)
	}
	e.Job.Process = process
	b.own[process]++
}

// raise begins a new doubt about an entry, about which somebody is to be asked from then on; the zero time plans nothing.
func (b *Book) raise(e *Entry, why string, from time.Time) {
	b.doubts++
	e.doubt, e.why = b.doubts, why
	b.turn(e, Doubtful)
	b.at(e, from)
}

func (b *Book) turn(e *Entry, s State) {
	e.state = s
	b.at(e, time.Time{})
}

func (e *Entry) asDoubt() Doubt {
	return Doubt{Lease: e.Job.Lease(), Job: e.Job, Why: e.why, Handed: e.handed, Seen: e.seen, Overdue: e.run.overdue, number: e.doubt}
}

// leave takes an entry out.
func (b *Book) leave(e *Entry) *Entry {
	b.at(e, time.Time{})
	if b.own[e.Job.Process]--; b.own[e.Job.Process] <= 0 {
		delete(b.own, e.Job.Process)
	}
	delete(b.entries, e.Job.Lease())
	return e
}

// Next is when something happens in the book by itself; ok is false if nothing will.
func (b *Book) Next() (at time.Time, ok bool) {
	if len(b.due) == 0 {
		return time.Time{}, false
	}
	return b.due[0].dueAt, true
}

// Due returns the doubts for which a verdict is to be sought now: new ones, of workers that have been silent for too long or
// do not stop, and those whose verdict could not be had before. Each has to be followed by [Book.Judge] or [Book.Postpone].
// It also returns the entries whose run has just reached its limit: [Book.Stop] has to follow.
func (b *Book) Due(now time.Time) (doubts []Doubt, stops []*Entry) {
	for len(b.due) > 0 && !b.due[0].dueAt.After(now) {
		e := b.due[0]
		switch {
		case e.state != Held:
		case e.run.given(now) && e.calls == 0:
			e.run.overdue = true
			b.raise(e, e.run.why, time.Time{})
		case !e.run.stopped && e.PastLimit(now):
			e.run.stopped = true
			stops = append(stops, e)
			b.plan(e)
			continue
		default:
			b.raise(e, "worker went silent", time.Time{})
		}
		b.at(e, time.Time{})
		doubts = append(doubts, e.asDoubt())
	}
	return doubts, stops
}

// plan sets when something happens to an entry that is held. A worker whose call is under way is not silent, and is heard out
// before its lease is given up.
func (b *Book) plan(e *Entry) {
	next := e.run.next(e.calls > 0)
	if e.silence > 0 && e.calls == 0 {
		if silent := e.heardAt.Add(e.silence); next.IsZero() || silent.Before(next) {
			next = silent
		}
	}
	b.at(e, next)
}

// at sets when something happens to an entry; the zero time is never.
func (b *Book) at(e *Entry, t time.Time) {
	e.dueAt = t
	switch {
	case t.IsZero() && e.index >= 0:
		heap.Remove(&b.due, e.index)
	case t.IsZero():
	case e.index >= 0:
		heap.Fix(&b.due, e.index)
	default:
		heap.Push(&b.due, e)
	}
}

// dueHeap implements heap.Interface.
type dueHeap []*Entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, k int) bool { return h[i].dueAt.Before(h[k].dueAt) }

func (h dueHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].index, h[k].index = i, k
}

func (h *dueHeap) Push(x any) {
	e := x.(*Entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
