package leases

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Call is a call that a worker makes about its lease, from its arrival to the store's answer. See [Book.Report] and
// [Book.End]. Each ends with exactly one of [Book.Renewed], [Book.Over],
// [Book.Unknown], [Book.GiveUp] and [Book.Refused].
type Call struct {
	lease queue.Lease
	// entry is nil if the lease is not in the book: an end of a job that another process keeps.
	entry *Entry
	// adopted: the report is what brought the lease into the book.
	adopted bool
}

// Report begins a worker's report about a job. A doubt is void from now on. A lease that is not in the book is entered for the
// process that takes it over, before the store is asked: should the answer be lost, it is no stray. [ErrJudged] if an end is
// being stored. A silence above zero replaces what was agreed; zero where nothing was is [Book.Silence].
func (b *Book) Report(job queue.Job, process uuid.UUID, silence time.Duration, now time.Time) (Call, error) {
	e, known := b.entries[job.Lease()]
	if !known {
		job.Process = process
		e = b.enter(job)
		e.seen = false
	}
	if err := b.begin(e, e.run.overdue, now); err != nil {
		return Call{}, err
	}
	e.handed = true
	switch {
	case silence > 0:
		e.silence, e.agreed = silence, true
	case !e.agreed:
		e.silence = b.Silence
	}
	return Call{lease: job.Lease(), entry: e, adopted: !known}, nil
}

// End begins a worker's end, like [Book.Report], but enters nothing.
func (b *Book) End(l queue.Lease, now time.Time) (Call, error) {
	e, known := b.entries[l]
	if !known {
		return Call{}, nil
	}
	return Call{lease: l, entry: e}, b.begin(e, false, now)
}

// begin notes a call. It makes a doubt void, unless the doubt is one that a report does not touch.
func (b *Book) begin(e *Entry, doubted bool, now time.Time) error {
	if e.state == Judged {
		return ErrJudged
	}
	e.calls++
	e.heardAt = now
	if e.state == Held || !doubted {
		b.turn(e, Held)
		b.plan(e)
	}
	return nil
}

// here reports whether the call's entry is still in the book: it leaves with its process, whatever is under way.
func (b *Book) here(c Call) bool { return c.entry != nil && b.entries[c.lease] == c.entry }

func (b *Book) finish(c Call, now time.Time) {
	c.entry.calls--
	if c.entry.state == Held {
		c.entry.heardAt = now
		b.plan(c.entry)
	}
}

// Renewed notes that the store took a report for the process: the lease is its own now. It returns the entry, or nil if the
// process was given up meanwhile.
func (b *Book) Renewed(c Call, process uuid.UUID, now time.Time) *Entry {
	if !b.here(c) {
		return nil
	}
	b.move(c.entry, process)
	c.entry.seen = true
	b.finish(c, now)
	return c.entry
}

// Name notes how the store names a job that is in the book.
func (b *Book) Name(job queue.Job) {
	if e, ok := b.entries[job.Lease()]; ok {
		b.name(e, job)
	}
}

// Over notes the store's answer that the lease is over: it ended now, or was lost before. It returns the entry, or nil.
func (b *Book) Over(c Call) *Entry {
	if !b.here(c) {
		return nil
	}
	return b.leave(c.entry)
}

// Unknown notes that a call got no answer; it may have had its effect, now or later. The lease stays, and with it what the
// report of another process's worker may have brought here.
func (b *Book) Unknown(c Call, now time.Time) {
	if b.here(c) {
		c.entry.seen = false
		b.finish(c, now)
	}
}

// GiveUp is [Book.Unknown] for an end that will not be repeated here: nobody is at work on the job any more. A worker that
// may be silent may also come back with its end, so its silence decides; any other is in doubt at once.
func (b *Book) GiveUp(c Call, why string, now time.Time) {
	b.Unknown(c, now)
	if b.here(c) && c.entry.state == Held && c.entry.calls == 0 && c.entry.silence == 0 {
		b.raise(c.entry, why, now)
	}
}

// Refused notes that a report had no effect, because the process is not registered.
func (b *Book) Refused(c Call, now time.Time) {
	switch {
	case !b.here(c):
	case c.adopted && c.entry.calls == 1:
		b.leave(c.entry)
	default:
		b.finish(c, now)
	}
}
