package dispatch

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/tagindex"
)

// MaxDomains bounds the domains of one organization that somebody waits or works in, and maxQuiet those beside them that are kept
// for whoever comes back at once, as workers with long polls do.
const (
	MaxDomains = 1024
	maxQuiet   = 32
)

// maxLanes bounds the lanes remembered for one organization; clean ones are forgotten beyond it.
const maxLanes = 4096

// Hooks are what the machine asks of its caller. They are called from within its methods and must not call it back.
type Hooks struct {
	// Claim asks for a claim of the domain: [Dispatcher.Begin] has to follow.
	Claim func(*Domain)
	// Announce reports jobs posted in this process that no worker of this process is about to claim. The lane
	// holds nothing ready below the order number from.
	Announce func(l queue.Lane, from int64, jobs int)
}

// Dispatcher is the machine. The zero value is not usable; see [New].
type Dispatcher struct {
	hooks Hooks
	orgs  map[uuid.UUID]*organization
	mark  uint64
	// ticket is the number of the last waiter.
	ticket uint64
	// closed: nobody here claims any more.
	closed bool
}

// New returns a machine without workers.
func New(hooks Hooks) *Dispatcher {
	return &Dispatcher{hooks: hooks, orgs: make(map[uuid.UUID]*organization)}
}

// Cause is how the process learned that a lane is not empty.
type Cause string

// The causes, as the metrics name them.
const (
	Handoff Cause = "handoff" // posted in this process
	Notify  Cause = "notify"  // announced by another process
	Poll    Cause = "poll"    // found by looking
)

// Source names a message: its sender and its number among the sender's.
type Source struct {
	Process uuid.UUID
	Seq     uint64
}

// Turn is a lane that was left to other processes. Zero: it was not.
type Turn struct {
	lane   *lane
	mark   uint64
	source Source
}

// Theirs reports whether the lane is left to others.
func (t Turn) Theirs() bool { return t.lane != nil }

// Lane is the lane that was left.
func (t Turn) Lane() queue.Lane { return t.lane.Lane }

// Source is the message because of which it was left.
func (t Turn) Source() Source { return t.source }

// organization is kept while a worker of it waits here or did lately.
type organization struct {
	id      uuid.UUID
	domains map[string]*Domain
	lanes   map[queue.Lane]*lane
	// byDomain and byLane find who can run what, without comparing each domain with each lane.
	byDomain tagindex.Domains[*Domain]
	byLane   tagindex.Lanes[*lane]
	// forgetAt is at how many lanes the clean ones are forgotten.
	forgetAt int
	// byDigest are the same lanes, as messages call them.
	byDigest map[uint64]*lane
	// freed counts the running jobs that ended, each of which may have lifted a limit.
	freed uint64
}

// lane is a [queue.Lane] as seen from this process.
type lane struct {
	queue.Lane
	posted, empty uint64 // marks
	listed        uint64 // the mark of the last listing that named it
	// claimed: a claim in flight covers the lane.
	claimed bool
	// limited: the last claim found jobs that a limit stopped.
	limited bool
	// from is a lower bound of the order numbers in the lane, and low the lowest that was posted since the claim in flight
	// began.
	from, low int64
	// oldest is when the first job of the lane was created, if known.
	oldest time.Time
	cause  Cause
	// able are the domains that can run the lane, idle those of them that could claim now, and claimer the one last queued
	// for it.
	able    []*Domain
	idle    idleHeap
	claimer *Domain
	// unannounced is the number of jobs posted here that other processes have not heard of.
	unannounced int
	// expected is how many jobs were announced since a claim of the lane last began, or many.
	expected int
	// source is the last message that announced the lane, and turn what is left to other processes.
	source Source
	turn   Turn
}

// many is what a lane is expected to hold of which nobody has counted the jobs.
const many = 1 << 20

// expect counts announced jobs; without a number nobody knows how many there are.
func (l *lane) expect(jobs int) {
	if jobs <= 0 {
		jobs = many
	}
	l.expected = min(l.expected+jobs, many)
}

func (l *lane) dirty() bool { return l.posted > l.empty }

func (l *lane) lower(from int64) {
	l.from, l.low = min(l.from, from), min(l.low, from)
}

// organization returns the state of an organization, a new one if there is none.
func (d *Dispatcher) organization(id uuid.UUID) *organization {
	if org, ok := d.orgs[id]; ok {
		return org
	}
	org := &organization{id: id, domains: make(map[string]*Domain), lanes: make(map[queue.Lane]*lane), byDigest: make(map[uint64]*lane)}
	d.orgs[id] = org
	return org
}

func (o *organization) domain(q queue.Domain) *Domain {
	key := q.Key()
	if known, ok := o.domains[key]; ok {
		return known
	}
	created := &Domain{Domain: q, key: key, org: o}
	o.domains[key] = created
	o.byDomain.Add(q, created)
	for l := range o.byLane.Candidates(q) {
		if q.Runs(l.Lane) {
			l.link(created)
		}
	}
	return created
}

func (o *organization) lane(q queue.Lane) *lane {
	if known, ok := o.lanes[q]; ok {
		return known
	}
	if len(o.lanes) >= max(o.forgetAt, maxLanes) {
		o.forgetLanes()
	}
	created := &lane{Lane: q, low: math.MaxInt64}
	o.lanes[q] = created
	o.byLane.Add(q, created)
	o.byDigest[q.Digest()] = created
	for domain := range o.byDomain.Candidates(q) {
		if domain.Runs(q) {
			created.link(domain)
		}
	}
	return created
}

// forgetLanes drops lanes known to be empty. Where few are, it comes again only when there are half as many more.
func (o *organization) forgetLanes() {
	for key, l := range o.lanes {
		if !l.dirty() && !l.claimed && !l.limited {
			delete(o.lanes, key)
			o.byLane.Remove(l)
			delete(o.byDigest, key.Digest())
			for _, domain := range l.able {
				domain.able = without(domain.able, l)
			}
		}
	}
	o.forgetAt = len(o.lanes) + len(o.lanes)/2
}

func without[T comparable](list []T, item T) []T {
	return slices.DeleteFunc(list, func(x T) bool { return x == item })
}

// Join puts a waiter at the end of its domain's line.
func (d *Dispatcher) Join(w *Waiter, q queue.Domain) {
	d.ticket++
	w.ticket = d.ticket
	w.domain = d.organization(q.Organization).domain(q)
	w.domain.pushBack(w)
	d.wakeAll(w.domain)
	w.domain.joining = w.domain.joining || w.domain.phase != idle
}

// Close ends all claiming and returns the workers who waited: they have left their lines. Jobs that other processes have
// not heard of, and all that are posted from now on, are announced.
func (d *Dispatcher) Close(now time.Time) []*Waiter {
	var waiters []*Waiter
	for domain := range d.all() {
		for domain.line.Len() > 0 {
			w := domain.first()
			w.Leave(now)
			waiters = append(waiters, w)
		}
	}
	d.closed = true
	for _, org := range d.orgs {
		for _, l := range org.lanes {
			d.announce(l)
		}
	}
	return waiters
}

// Forget drops the domains in which nobody has waited or worked since before, and organizations without any.
func (d *Dispatcher) Forget(before time.Time) {
	for id, org := range d.orgs {
		for _, domain := range org.domains {
			if domain.quiet() && domain.quietSince.Before(before) {
				org.drop(domain)
			}
		}
		if len(org.domains) == 0 {
			delete(d.orgs, id)
		}
	}
}

// quiet reports whether nobody waits or works in the domain, and no claim of it is under way or to be looked up.
func (d *Domain) quiet() bool {
	return d.line.Len() == 0 && d.phase == idle && d.running == 0 && d.unsettled == nil
}

// trim drops the domains that have been quiet for longest, as long as there are too many.
func (o *organization) trim() {
	if len(o.domains) <= maxQuiet {
		return
	}
	n := 0
	var oldest *Domain
	for _, d := range o.domains {
		if !d.quiet() {
			continue
		}
		n++
		if oldest == nil || d.quietSince.Before(oldest.quietSince) {
			oldest = d
		}
	}
	if n > maxQuiet {
		o.drop(oldest)
	}
}

func (o *organization) drop(d *Domain) {
	delete(o.domains, d.key)
	o.byDomain.Remove(d.Domain, d)
	for _, l := range d.able {
		l.able = without(l.able, d)
		if l.claimer == d {
			l.claimer = nil
		}
	}
}

// Room reports whether a worker of a domain may come to wait: not if its organization has [MaxDomains] others.
func (d *Dispatcher) Room(q queue.Domain) bool {
	org, ok := d.orgs[q.Organization]
	if !ok || len(org.domains) < MaxDomains {
		return true
	}
	_, known := org.domains[q.Key()]
	return known
}

// all yields the domains of all organizations, in no particular order.
func (d *Dispatcher) all() iter.Seq[*Domain] {
	return func(yield func(*Domain) bool) {
		for _, org := range d.orgs {
			for _, domain := range org.domains {
				if !yield(domain) {
					return
				}
			}
		}
	}
}

// Domains returns all domains, sorted by key.
func (d *Dispatcher) Domains() []*Domain {
	return slices.SortedFunc(d.all(), func(x, y *Domain) int { return cmp.Compare(x.key, y.key) })
}

// DomainsOf yields the domains of an organization, in no particular order.
func (d *Dispatcher) DomainsOf(id uuid.UUID) iter.Seq[*Domain] {
	org, ok := d.orgs[id]
	if !ok {
		return func(func(*Domain) bool) {}
	}
	return maps.Values(org.domains)
}

// Organizations returns the organizations in which somebody waits here or did lately, sorted by id.
func (d *Dispatcher) Organizations() []uuid.UUID {
	return slices.SortedFunc(maps.Keys(d.orgs), func(x, y uuid.UUID) int { return slices.Compare(x[:], y[:]) })
}

// Knows reports whether somebody of the organization waits here or did lately.
func (d *Dispatcher) Knows(id uuid.UUID) bool {
	_, ok := d.orgs[id]
	return ok
}

// Able reports whether a domain here could run the lane, whether or not anybody waits in it.
func (d *Dispatcher) Able(l queue.Lane) bool {
	org, ok := d.orgs[l.Organization]
	return ok && len(org.lane(l).able) > 0
}

// partSteps bounds the work on many lanes in one hold of a lock, to some milliseconds. A lane costs laneSteps, and one for each
// domain that it may have to be compared with.
const partSteps, laneSteps = 1 << 14, 64

// Part is how many of n lanes to take in before others get the lock, at least one. Breadth says of the i-th how many domains
// it may have to be compared with.
func Part(n int, breadth func(i int) int) int {
	steps := 0
	for i := range n {
		if steps += laneSteps + breadth(i); steps > partSteps {
			return max(i, 1)
		}
	}
	return n
}

// Breadth is how many domains a lane of an organization may have to be compared with when it is new, or wakes somebody.
func (d *Dispatcher) Breadth(organization uuid.UUID) int {
	if org, ok := d.orgs[organization]; ok {
		return len(org.domains)
	}
	return 0
}

// Limited reports whether the last claim of the lane found jobs that a limit stopped.
func (d *Dispatcher) Limited(l queue.Lane) bool {
	if org, ok := d.orgs[l.Organization]; ok {
		if known, ok := org.lanes[l]; ok {
			return known.limited
		}
	}
	return false
}

// Lane returns the lane that a message calls by its digest, if it is one that was posted here or listed by the store.
func (d *Dispatcher) Lane(organization uuid.UUID, digest uint64) (l queue.Lane, known bool) {
	if org, ok := d.orgs[organization]; ok {
		if found, ok := org.byDigest[digest]; ok {
			return found.Lane, true
		}
	}
	return queue.Lane{}, false
}

// Lanes is the number of lanes remembered.
func (d *Dispatcher) Lanes() (n int) {
	for _, org := range d.orgs {
		n += len(org.lanes)
	}
	return n
}

// Mark returns the mark of a listing that begins now, for [Dispatcher.Listed]: it is above that of whatever was posted before, and
// of each listing that began before.
func (d *Dispatcher) Mark() uint64 {
	d.mark++
	return d.mark
}
