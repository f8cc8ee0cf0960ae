package workerpool

import "time"

// record is a worker with its places in the pool's indexes.
type record struct {
	Worker
	kind *kind
	// all is its place in Pool.all, due its place in the deadlines, or -1.
	all, due int32
	dueAt    int64
	// listed is the number of the last listing that showed it.
	listed uint32
	// knownAt is when the pool knew its id. A listing that began before proves nothing about it.
	knownAt mark
	// doubtful: its create failed at knownAt, and may have had an effect all the same. It counts until a listing shows it
	// or shows that it does not exist.
	doubtful bool
	// missedAt is when the last listing began that lacked it and was not believed, askedAt when the last probe began that has
	// ended.
	missedAt, askedAt mark
	tags              tagState
	use               use
	// since is from when the jobs' costs are not yet shared out.
	since mark
	// listed in byState and byRoom of its kind as what it was then: see reindex.
	placed State
	// byState and byRoom are the lists of its kind that it is in.
	byState, byRoom link
}

// mark is an instant in the time of the pool's run, zero for none. A time.Time has thrice its size.
type mark int64

func (p *Pool) mark(t time.Time) mark { return mark(t.Sub(p.started)) + 1 }

func (p *Pool) timeOf(m mark) time.Time { return p.started.Add(time.Duration(m - 1)) }

// room is what a worker that takes jobs now has left.
func (r *record) room() (free Resources, ready bool) {
	if r.byRoom.in == nil {
		return Resources{}, false
	}
	return r.byRoom.in.free, true
}

// fits reports whether a worker takes a job now.
func (r *record) fits(j *Job) bool {
	free, ready := r.room()
	return ready && j.needs().Fit(free)
}

// tagState says whether the provider has the tags that it should have.
type tagState struct {
	saving, dirty, cut bool
	// saved is the number of the first listing that must show them.
	saved uint32
}

// kind is a type with its workers.
type kind struct {
	InstanceType
	rules *Rules
	// known: it is configured. Workers of other types are drained.
	known bool
	keys  []string // of the pauses that concern it
	count [states + 1]int
	// slots and used are those of the workers that take jobs.
	slots, used int64
	booting     list // the youngest last
	idle        list // the longest idle first
	ready       lists
}

// link is a worker's place in a list.
type link struct {
	in         *list
	prev, next *record
}

// list is a doubly linked list of workers through one of their links.
type list struct {
	of          func(*record) *link
	first, last *record
	n           int
	// free is what the workers of a list by room have left.
	free Resources
}

func linkByState(r *record) *link { return &r.byState }
func linkByRoom(r *record) *link  { return &r.byRoom }

func (l *list) push(r *record) {
	at := l.of(r)
	at.in, at.prev, at.next = l, l.last, nil
	if l.last != nil {
		l.of(l.last).next = r
	} else {
		l.first = r
	}
	l.last = r
	l.n++
}

func (l *list) remove(r *record) {
	at := l.of(r)
	if at.prev != nil {
		l.of(at.prev).next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		l.of(at.next).prev = at.prev
	} else {
		l.last = at.prev
	}
	*at = link{}
	l.n--
}

// drop takes a worker out of the list it is in.
func (at *link) drop(r *record) {
	if at.in != nil {
		at.in.remove(r)
	}
}

// lists are workers by what they have left, the tightest first. See [rooms] for the same in a plan.
type lists struct {
	order       []*list
	byResources map[Resources]*list
}

func (l *lists) add(r *record, free Resources) {
	b, ok := l.byResources[free]
	if !ok {
		b = &list{of: linkByRoom, free: free}
		if l.byResources == nil {
			l.byResources = make(map[Resources]*list)
		}
		l.byResources[free] = b
		l.order = insertRoom(l.order, b)
	}
	b.push(r)
}

// tightest returns the worker with the tightest room for a need, of several the one that was used last.
func (l *lists) tightest(need Resources) (*record, Resources) {
	for _, b := range l.order {
		if b.last != nil && need.Fit(b.free) {
			return b.last, b.free
		}
	}
	return nil, Resources{}
}

// forget drops empty lists beyond those that a pool of slots needs anyway.
func (l *lists) forget() {
	const spared = 64
	if len(l.order) <= spared {
		return
	}
	kept := l.order[:0]
	for _, b := range l.order {
		if b.n > 0 {
			kept = append(kept, b)
		} else {
			delete(l.byResources, b.free)
		}
	}
	clear(l.order[len(kept):])
	l.order = kept
}
