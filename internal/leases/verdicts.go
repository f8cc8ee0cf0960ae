package leases

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// current returns the entry that a doubt is about, if the doubt still stands.
func (b *Book) current(d Doubt) *Entry {
	e, ok := b.entries[d.Lease]
	if !ok || e.doubt != d.number || e.state == Held {
		return nil
	}
	return e
}

// See notes what was looked up of the job that a doubt is about; zero: there is none. It returns the doubt as it is now;
// ok is false if there is none any more, because the lease is over or another process keeps it.
func (b *Book) See(d Doubt, job queue.Job, self uuid.UUID) (now Doubt, ok bool) {
	e := b.current(d)
	switch {
	case e == nil:
		return Doubt{}, false
	case job.State != queue.Running || job.Lease() != d.Lease || job.Process != self && job.Process != e.Job.Process:
		b.leave(e)
		return Doubt{}, false
	}
	b.name(e, job)
	return e.asDoubt(), true
}

// Judge notes that a verdict was reached and its end is about to be stored. It returns nil if the verdict is void, because
// what it is about is not so any more; then it must not be stored. [Book.Judged] or [Book.Postpone] has to follow.
func (b *Book) Judge(d Doubt) *Entry {
	e := b.current(d)
	if e != nil {
		b.turn(e, Judged)
	}
	return e
}

// Judged notes that the store took a verdict's end. It returns the entry, or nil if it has left with its process meanwhile.
func (b *Book) Judged(d Doubt) *Entry {
	if e := b.current(d); e != nil {
		return b.leave(e)
	}
	return nil
}

// Postpone notes that no verdict could be reached, or that the store refused its end or did not answer. The lease stays in
// doubt, and a verdict is sought again at the given time, after a look at the job.
func (b *Book) Postpone(d Doubt, again time.Time) {
	if e := b.current(d); e != nil {
		e.seen = false
		b.turn(e, Doubtful)
		b.at(e, again)
	}
}

// lateFor is how long a claim whose answer was lost may still be carried out.
const lateFor = time.Hour

// Compare takes in what the store says that a process holds, asked at a time. Leases that it does not name are over here,
// unless they are younger than the question or a call about them is under way; they leave and are returned. Jobs that it
// names and nobody has are strays. Those of a late claim were never given to a worker and have to be given back, like those
// of [Book.Return]; all others came by a report whose answer was lost, and are doubtful.
func (b *Book) Compare(process uuid.UUID, named []queue.Job, asked, now time.Time) (strays []Doubt, gone []*Entry) {
	held := make(map[queue.Lease]bool, len(named))
	for _, job := range named {
		held[job.Lease()] = true
		_, known := b.entries[job.Lease()]
		_, claimed := b.open[job.Token]
		_, late := b.late[job.Token]
		switch {
		case known:
			b.Name(job)
		case late:
			strays = append(strays, b.Return(job))
		case !claimed:
			b.Suspect(job, "nobody here was given it", asked, now)
		}
	}
	for lease, e := range b.entries {
		if e.Job.Process == process && !held[lease] && e.state != Judged && e.calls == 0 && e.heardAt.Before(asked) {
			gone = append(gone, b.leave(e))
		}
	}
	for token, at := range b.late {
		if asked.Sub(at) > lateFor {
			delete(b.late, token)
		}
	}
	return strays, gone
}

// Drop forgets a process that was given up, with all its leases: others decide about them now.
func (b *Book) Drop(process uuid.UUID) (gone []*Entry) {
	clear(b.open)
	clear(b.late)
	for _, e := range b.entries {
		if e.Job.Process == process {
			gone = append(gone, b.leave(e))
		}
	}
	return gone
}
