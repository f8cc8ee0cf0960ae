package prewarm

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// others is what this process knows of the lines of the pool's other processes, from their notes. It makes the line of all
// processes fair among tenants: a member goes to the tenant that was served longest ago, whoever has the claim.
//
// It is knowledge of the moment, like the lines themselves, and nothing is wrong without it: who waits in another process is
// let go first for a moment (see yieldFor), and then whoever is there takes the member. So a note that is lost, late or of a
// process that has died costs fairness or a tenth of a second, and no claim.
//
// Whoever may connect to the database may hear notes and send some. So they name no tenant (see tenantName), and what they say
// is bounded: a forged one costs what a lost one does, and a pause lies between the looks that notes cause.
type others struct {
	lines  map[string]lineNote  // by process
	served map[string]time.Time // by the name of a tenant: when one of its claims was served, by any process
}

const (
	// yieldFor is how long a member that may be ready is left to claims of other processes that come first.
	yieldFor = 100 * time.Millisecond
	// hearPause is the least time between two looks for members because of what other processes say.
	hearPause = announcePause
	// maxServed bounds the tenants that are remembered, maxLines the processes, maxPlaces and maxTold what a note says.
	maxServed, maxLines, maxPlaces, maxTold = 1000, 100, 40, 20
	// maxNamed bounds the names of processes and tenants in notes.
	maxNamed = 64
)

// tenantName is what notes call a tenant: it tells nothing to whoever does not know the tenant already.
func tenantName(pool, tenant string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "dormouse tenant\x00%s\x00%s", pool, tenant))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// lineNote is what a process says of its line. All instants are in microseconds.
type lineNote struct {
	Process string           `json:"p"`
	Waiting []place          `json:"w,omitempty"` // the first ones, in order
	Served  map[string]int64 `json:"s,omitempty"` // the tenants that were served last
	until   time.Time
}

// place is a claim that waits.
type place struct {
	Tenant string `json:"t"` // as in notes
	Since  int64  `json:"a"`
	own    *waiter
}

func newOthers() others {
	return others{lines: make(map[string]lineNote), served: make(map[string]time.Time)}
}

// hear takes in a note, which counts for a while. It reports whether others wait in another process than before.
func (o *others) hear(text, self string, now time.Time, life time.Duration) bool {
	n, ok := parseNote(text)
	if !ok || n.Process == self {
		return false
	}
	o.forget(now)
	if _, known := o.lines[n.Process]; !known && len(o.lines) >= maxLines {
		return false
	}
	for tenant, at := range n.Served {
		o.serve(tenant, time.UnixMicro(min(at, now.UnixMicro())))
	}
	before := o.lines[n.Process].Waiting
	delete(o.lines, n.Process)
	if len(n.Waiting) > 0 {
		n.until = now.Add(life)
		o.lines[n.Process] = n
	}
	return !slices.Equal(before, n.Waiting)
}

// parseNote reads a note; ok is false if it says what no process of ours would.
func parseNote(text string) (n lineNote, ok bool) {
	if json.Unmarshal([]byte(text), &n) != nil || len(n.Waiting) > maxPlaces || len(n.Served) > maxTold {
		return n, false
	}
	ok = n.Process != "" && len(n.Process) <= maxNamed
	for _, at := range n.Waiting {
		ok = ok && len(at.Tenant) <= maxNamed
	}
	for tenant := range n.Served {
		ok = ok && len(tenant) <= maxNamed
	}
	return n, ok
}

// forget forgets processes that have said nothing for a while.
func (o *others) forget(now time.Time) {
	maps.DeleteFunc(o.lines, func(_ string, n lineNote) bool { return !n.until.After(now) })
}

// serve notes that a tenant got a member.
func (o *others) serve(tenant string, at time.Time) {
	if at.After(o.served[tenant]) {
		o.served[tenant] = at
	}
	if len(o.served) > maxServed {
		oldest := o.recent(maxServed / 2)
		maps.DeleteFunc(o.served, func(tenant string, _ time.Time) bool { _, kept := oldest[tenant]; return !kept })
	}
}

// recent are the tenants that were served last.
func (o *others) recent(n int) map[string]int64 {
	tenants := slices.SortedFunc(maps.Keys(o.served), func(a, b string) int {
		return cmp.Or(o.served[b].Compare(o.served[a]), cmp.Compare(a, b))
	})
	found := make(map[string]int64, n)
	for _, tenant := range tenants[:min(n, len(tenants))] {
		found[tenant] = o.served[tenant].UnixMicro()
	}
	return found
}

// note is what is to be told of a line: the claims that wait for a member of the pool.
func (o *others) note(self string, l *line) string {
	n := lineNote{Process: self, Served: o.recent(maxTold)}
	for _, w := range l.waiters {
		if w.parked && !w.gone && w.cold == uuid.Nil && len(n.Waiting) < maxPlaces {
			n.Waiting = append(n.Waiting, place{Tenant: w.tenant, Since: w.since.UnixMicro()})
		}
	}
	for {
		text, err := json.Marshal(n)
		switch {
		case err != nil:
			return ""
		case len(text) <= MaxNote:
			return string(text)
		}
		n.Waiting, n.Served = n.Waiting[:len(n.Waiting)/2], nil
	}
}

// waiting are the claims that wait elsewhere.
func (o *others) waiting(now time.Time) (found []place) {
	o.forget(now)
	for _, n := range o.lines {
		found = append(found, n.Waiting...)
	}
	return found
}

// before returns which of our claims no claim of another process precedes, in their order, if members go to one tenant after
// the other: each time to the one that was served longest ago, and within a tenant to whoever came first.
func (o *others) before(own []*waiter, elsewhere []place) (first []*waiter) {
	queues := make(map[string][]place)
	for _, w := range own {
		queues[w.tenant] = append(queues[w.tenant], place{Since: w.since.UnixMicro(), own: w})
	}
	for _, at := range elsewhere {
		queues[at.Tenant] = append(queues[at.Tenant], at)
	}
	for _, queue := range queues {
		slices.SortStableFunc(queue, func(a, b place) int { return cmp.Compare(a.Since, b.Since) })
	}
	turns := slices.SortedFunc(maps.Keys(queues), func(a, b string) int {
		return cmp.Or(o.served[a].Compare(o.served[b]), cmp.Compare(queues[a][0].Since, queues[b][0].Since), cmp.Compare(a, b))
	})
	for len(turns) > 0 {
		var again []string // whoever was served is last, so that the order stays the same
		for _, tenant := range turns {
			queue := queues[tenant]
			if queue[0].own == nil {
				return first
			}
			first = append(first, queue[0].own)
			if queues[tenant] = queue[1:]; len(queue) > 1 {
				again = append(again, tenant)
			}
		}
		turns = again
	}
	return first
}

// inTurn divides those who wait here into those whose turn it is and those behind claims of other processes, and says how
// long to wait before looking again. The lock is held.
func (p *Pool) inTurn(waiters []*waiter, now time.Time) (first, behind []*waiter, pause time.Duration) {
	elsewhere := p.others.waiting(now)
	yielded := !p.maybeReady.IsZero() && now.Sub(p.maybeReady) >= yieldFor
	if len(elsewhere) == 0 || yielded {
		p.allServed, p.maybeReady = now, time.Time{}
		return waiters, nil, p.cfg.Poll
	}
	next := p.allServed.Add(p.cfg.Poll)
	if p.maybeReady.IsZero() && !next.After(now) {
		p.maybeReady = now // nobody has said so, but it is time to look
	}
	if !p.maybeReady.IsZero() {
		next = p.maybeReady.Add(yieldFor)
	}
	first = p.others.before(waiters, elsewhere)
	turn := make(map[*waiter]bool, len(first))
	for _, w := range first {
		turn[w] = true
	}
	for _, w := range waiters {
		if !turn[w] {
			behind = append(behind, w)
		}
	}
	return first, behind, next.Sub(now)
}

// lookForMembers has the line served because a member may be ready.
func (p *Pool) lookForMembers() {
	p.noteReady()
	p.serve.set()
}

// noteReady notes that a member may be ready.
func (p *Pool) noteReady() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.maybeReady.IsZero() {
		p.maybeReady = p.now()
	}
}

// hear takes in what another process says: that a member is ready, or who waits there.
func (p *Pool) hear(note string) {
	if note == "" {
		p.noteReady()
		p.heard.Hint()
		return
	}
	p.mu.Lock()
	news := p.others.hear(note, p.process, p.now(), 3*p.cfg.Poll)
	p.mu.Unlock()
	if news {
		p.heard.Hint()
	}
}

// tell is the note for other processes, if there is something to say: who waits here has changed, or it is time to say it again.
func (p *Pool) tell() (note string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	waiting := p.line.waiting()
	if waiting == 0 && p.told.waiting == 0 {
		return "", false
	}
	note = p.others.note(p.process, &p.line)
	if note == p.told.note && now.Sub(p.told.at) < p.cfg.Poll/2 {
		return "", false
	}
	p.told = told{note, now, waiting}
	return note, true
}

// told is the last note of this process.
type told struct {
	note    string
	at      time.Time
	waiting int
}
