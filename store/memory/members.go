package memory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/form"
)

// Members keeps the members of pre-warmed pools in memory: a [prewarm.Store] for hosts of one process and for unit
// tests. It is safe for concurrent use. A claim costs a search in the line of ready members, whatever the size of the
// pool.
type Members struct {
	mu    sync.RWMutex
	pools map[string]*memberPool

	watched sync.Mutex
	wakes   map[*func(string)]string // and the pool that each is for
}

var (
	_ prewarm.Store   = (*Members)(nil)
	_ prewarm.Watcher = (*Members)(nil)
)

// NewMembers returns an empty store of members.
func NewMembers() *Members {
	return &Members{pools: make(map[string]*memberPool), wakes: make(map[*func(string)]string)}
}

// memberPool is one pool with its indexes.
type memberPool struct {
	state prewarm.PoolState
	rows  slab[memberRow]
	slots map[uuid.UUID]uint32
	byID  order
	// due orders the members by deadline, those without one left out.
	due order
	// lines are the ready members that a claim may have, by when they became ready.
	lines map[memberLine]*order
	// keys are the claims that are known.
	keys map[string]uint32
	// later are the members of a resource that was another member's before.
	later map[uuid.UUID][]uint32
}

type memberLine struct{ version, restriction string }

// memberRow is a member in little space.
type memberRow struct {
	id, resource                 uuid.UUID
	revision, generation         int64
	createdAt, readyAt, deadline int64
	version, restriction         string
	reason                       prewarm.Reason
	message                      string
	claim                        *prewarm.Claim // nil for none; not changed once it is stored
	uses, attempts, misses       int32
	state                        prewarm.State
}

func (r *memberRow) member(pool string) prewarm.Member {
	m := prewarm.Member{
		ID: r.id, Pool: pool, Version: r.version, Revision: r.revision, State: r.state, Resource: r.resource,
		Generation: r.generation, Uses: int(r.uses), For: r.restriction, CreatedAt: instant(r.createdAt),
		ReadyAt: instant(r.readyAt), Deadline: instant(r.deadline), Attempts: int(r.attempts), Misses: int(r.misses),
		Reason: r.reason, Message: r.message,
	}
	if r.claim != nil {
		m.Claim = *r.claim
	}
	return m
}

func (r *memberRow) set(m *prewarm.Member) {
	claim := r.claim
	switch {
	case m.Claim == prewarm.Claim{}:
		claim = nil
	case claim == nil || *claim != m.Claim:
		c := m.Claim
		c.At, c.Until = store.Instant(c.At), store.Instant(c.Until)
		claim = &c
	}
	*r = memberRow{
		id: m.ID, resource: m.Resource, revision: m.Revision, generation: m.Generation,
		createdAt: micros(m.CreatedAt), readyAt: micros(m.ReadyAt), deadline: micros(m.Deadline),
		version: m.Version, restriction: m.For, reason: m.Reason, message: form.Text(m.Message), claim: claim,
		uses: int32(m.Uses), attempts: int32(m.Attempts), misses: int32(m.Misses), state: m.State,
	}
}

func (r *memberRow) key() string {
	if r.claim == nil {
		return ""
	}
	return r.claim.Key
}

func (s *Members) pool(name string) *memberPool {
	p := s.pools[name]
	if p == nil {
		p = &memberPool{
			state: prewarm.PoolState{Pool: name}, rows: newSlab[memberRow](), slots: make(map[uuid.UUID]uint32),
			lines: make(map[memberLine]*order), keys: make(map[string]uint32), later: make(map[uuid.UUID][]uint32),
		}
		s.pools[name] = p
	}
	return p
}

// ClaimMembers implements [prewarm.Store].
func (s *Members) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now = store.Instant(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pool(pick.Pool)
	grants := make([]prewarm.Grant, len(claims))
	open := 0
	for i := range claims {
		if grants[i] = p.known(&claims[i]); grants[i].Result == prewarm.GrantNone {
			open++
		}
	}
	var few [8]uint32 // most claims come alone
	line := memberLine{pick.Version, pick.For}
	ready := p.lines[line]
	slots := p.first(few[:0], ready, &pick, open)
	for i := range claims {
		if len(slots) == 0 {
			break
		}
		if grants[i].Result == prewarm.GrantNone {
			p.take(ready, slots[0], &claims[i], now, &grants[i])
			slots = slots[1:]
		}
	}
	if ready != nil && len(ready.blocks) == 0 {
		delete(p.lines, line)
	}
	return grants, nil
}

// known answers a claim whose key was used before.
func (p *memberPool) known(c *prewarm.Claim) (g prewarm.Grant) {
	slot, ok := p.keys[c.Key]
	if !ok {
		return g
	}
	r := p.rows.at(slot)
	if r.claim.Owner != c.Owner {
		g.Result = prewarm.GrantKeyReused
		return g
	}
	g.Result, g.Member = prewarm.GrantAgain, r.member(p.state.Pool)
	return g
}

// take gives a ready member of a line to a claim. It is [memberPool.write] for the one thing that happens here, in a third
// of the time.
func (p *memberPool) take(ready *order, slot uint32, c *prewarm.Claim, now time.Time, g *prewarm.Grant) {
	r := p.rows.at(slot)
	ready.remove(entryOf(r.readyAt, r.id, slot))
	g.Result, g.Member = prewarm.GrantNew, c.Take(r.member(p.state.Pool), now)
	if deadline := micros(g.Member.Deadline); deadline != r.deadline {
		p.unschedule(slot, r)
		if r.deadline = deadline; deadline != never {
			p.due.insert(entryOf(deadline, r.id, slot))
		}
	}
	claim := g.Member.Claim
	claim.Until = store.Instant(claim.Until)
	r.state, r.reason, r.revision, r.claim = g.Member.State, g.Member.Reason, g.Member.Revision, &claim
	p.keys[claim.Key] = slot
}

// first appends the slots of the first n members of a line that a pick describes.
func (p *memberPool) first(slots []uint32, ready *order, pick *prewarm.Pick, n int) []uint32 {
	if ready == nil || n == 0 {
		return slots
	}
	least := micros(pick.LivesUntil)
	for b := range ready.blocks {
		block := ready.blocks[fromEnd(b, len(ready.blocks), pick.Freshest)]
		for i := range block {
			slot := block[fromEnd(i, len(block), pick.Freshest)].slot
			if r := p.rows.at(slot); r.deadline != never && least != never && r.deadline < least {
				continue
			}
			if slots = append(slots, slot); len(slots) == n {
				return slots
			}
		}
	}
	return slots
}

// fromEnd is the i-th place of n, from the end if it is to be.
func fromEnd(i, n int, end bool) int {
	if end {
		return n - 1 - i
	}
	return i
}

// PutMembers implements [prewarm.Store].
func (s *Members) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != nil {
		p := s.pool(state.Pool)
		if p.state.Revision != state.Revision {
			return nil, prewarm.ErrConflict
		}
		p.state = *state
		p.state.Revision++
		p.state.PausedBy, p.state.Failures.Message = form.Text(p.state.PausedBy), form.Text(p.state.Failures.Message)
		p.state.Failures.At, p.state.ExtraUntil = store.Instant(p.state.Failures.At), store.Instant(p.state.ExtraUntil)
	}
	applied := make([]bool, len(changes))
	for i := range changes {
		c := &changes[i]
		if applied[i] = s.put(c.Member); applied[i] && c.Successor != nil {
			s.put(*c.Successor)
		}
	}
	return applied, nil
}

// writable returns where a member is, if it may be written: it has the revision that it names, and no other one has its
// claim's key.
func (p *memberPool) writable(m *prewarm.Member) (slot uint32, exists, ok bool) {
	slot, exists = p.slots[m.ID]
	revision := int64(0)
	if exists {
		revision = p.rows.at(slot).revision
	}
	holder, known := p.keys[m.Claim.Key]
	return slot, exists, revision == m.Revision && (!known || exists && holder == slot)
}

func (s *Members) put(m prewarm.Member) bool {
	p := s.pool(m.Pool)
	slot, exists, ok := p.writable(&m)
	if !ok {
		return false
	}
	if m.State == prewarm.Gone && m.Deadline.IsZero() {
		if exists {
			p.remove(slot)
		}
		return true
	}
	if !exists {
		slot = p.add(&m)
	}
	m.Revision++
	p.write(slot, &m)
	return true
}

// add makes room for a new member, which is still to be written.
func (p *memberPool) add(m *prewarm.Member) uint32 {
	slot := p.rows.add()
	p.slots[m.ID] = slot
	p.byID.insert(entryOf(0, m.ID, slot))
	if m.Resource != m.ID {
		p.later[m.Resource] = append(p.later[m.Resource], slot)
	}
	return slot
}

// write stores a member and moves it in the indexes.
func (p *memberPool) write(slot uint32, m *prewarm.Member) {
	r := p.rows.at(slot)
	old := *r
	r.set(m)
	if old.deadline != r.deadline || old.revision == 0 {
		p.unschedule(slot, &old)
		if r.deadline != never {
			p.due.insert(entryOf(r.deadline, r.id, slot))
		}
	}
	p.leave(slot, &old)
	if r.state == prewarm.Ready {
		p.line(r).insert(entryOf(r.readyAt, r.id, slot))
	}
	if old.key() != r.key() {
		delete(p.keys, old.key())
		if r.key() != "" {
			p.keys[r.key()] = slot
		}
	}
}

func (p *memberPool) line(r *memberRow) *order {
	at := memberLine{r.version, r.restriction}
	if p.lines[at] == nil {
		p.lines[at] = new(order)
	}
	return p.lines[at]
}

// leave takes a member out of its line.
func (p *memberPool) leave(slot uint32, old *memberRow) {
	if old.revision == 0 || old.state != prewarm.Ready {
		return
	}
	ready := p.line(old)
	ready.remove(entryOf(old.readyAt, old.id, slot))
	if len(ready.blocks) == 0 {
		delete(p.lines, memberLine{old.version, old.restriction})
	}
}

func (p *memberPool) unschedule(slot uint32, old *memberRow) {
	if old.revision != 0 && old.deadline != never {
		p.due.remove(entryOf(old.deadline, old.id, slot))
	}
}

func (p *memberPool) remove(slot uint32) {
	old := *p.rows.at(slot)
	p.unschedule(slot, &old)
	p.leave(slot, &old)
	if old.claim != nil {
		delete(p.keys, old.key())
	}
	if old.resource != old.id {
		p.later[old.resource] = slices.DeleteFunc(p.later[old.resource], func(s uint32) bool { return s == slot })
		if len(p.later[old.resource]) == 0 {
			delete(p.later, old.resource)
		}
	}
	delete(p.slots, old.id)
	p.byID.remove(entryOf(0, old.id, slot))
	p.rows.remove(slot)
}

// Members implements [prewarm.Store].
func (s *Members) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.pools[q.Pool]
	if p == nil {
		return nil, ctx.Err()
	}
	var found []prewarm.Member
	p.candidates(&q, func(slot uint32) bool {
		if r := p.rows.at(slot); fits(&q, r) {
			found = append(found, r.member(q.Pool))
		}
		return q.Limit == 0 || len(found) < q.Limit
	})
	return found, ctx.Err()
}

// candidates yields the slots that a query may mean, in the order of its answer.
func (p *memberPool) candidates(q *prewarm.Query, yield func(slot uint32) bool) {
	switch {
	case q.Pick != nil:
		ready := p.lines[memberLine{q.Pick.Version, q.Pick.For}]
		for _, slot := range p.first(nil, ready, q.Pick, len(p.slots)) {
			if !yield(slot) {
				return
			}
		}
	case q.IDs != nil || q.Resources != nil:
		slots := p.named(q)
		slices.SortFunc(slots, func(a, b uint32) int { return p.compare(q, a, b) })
		for _, slot := range slots {
			if !yield(slot) {
				return
			}
		}
	case !q.DueBy.IsZero():
		by := micros(q.DueBy)
		p.due.after(entry{at: math.MinInt64}, func(e entry) bool { return e.at <= by && yield(e.slot) })
	default:
		p.byID.after(entry{at: math.MinInt64}, func(e entry) bool { return yield(e.slot) })
	}
}

func (p *memberPool) compare(q *prewarm.Query, a, b uint32) int {
	x, y := p.rows.at(a), p.rows.at(b)
	if c := cmp.Compare(x.deadline, y.deadline); c != 0 && !q.DueBy.IsZero() {
		return c
	}
	return slices.Compare(x.id[:], y.id[:])
}

// named returns the slots of the members with the ids and resources of a query, each once.
func (p *memberPool) named(q *prewarm.Query) []uint32 {
	var slots []uint32
	for _, id := range slices.Concat(q.IDs, q.Resources) {
		if slot, ok := p.slots[id]; ok {
			slots = append(slots, slot)
		}
	}
	for _, id := range q.Resources {
		slots = append(slots, p.later[id]...)
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

func fits(q *prewarm.Query, r *memberRow) bool {
	return (q.IDs == nil || slices.Contains(q.IDs, r.id)) &&
		(q.Resources == nil || slices.Contains(q.Resources, r.resource)) &&
		(q.States == nil || slices.Contains(q.States, r.state)) &&
		(q.DueBy.IsZero() || r.deadline != never && r.deadline <= micros(q.DueBy))
}

// PoolState implements [prewarm.Store].
func (s *Members) PoolState(ctx context.Context, pool string) (prewarm.PoolState, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.pools[pool]; p != nil {
		return p.state, ctx.Err()
	}
	return prewarm.PoolState{Pool: pool}, ctx.Err()
}

// AnnounceMembers implements [prewarm.Watcher].
func (s *Members) AnnounceMembers(ctx context.Context, pool, note string) error {
	s.watched.Lock()
	defer s.watched.Unlock()
	for hear, of := range s.wakes {
		if of == pool {
			(*hear)(note)
		}
	}
	return ctx.Err()
}

// WatchMembers implements [prewarm.Watcher].
func (s *Members) WatchMembers(ctx context.Context, pool string, hear func(note string)) error {
	s.watched.Lock()
	s.wakes[&hear] = pool
	s.watched.Unlock()
	hear("")
	<-ctx.Done()
	s.watched.Lock()
	defer s.watched.Unlock()
	delete(s.wakes, &hear)
	return ctx.Err()
}
