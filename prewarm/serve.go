package prewarm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
)

// serveLoop claims for those in the line, one round after the other, so that whoever comes during a round is served
// with the others in the next.
func (p *Pool) serveLoop(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		waiters, all := p.line.all(), len(p.line.waiters)
		first, behind, pause := p.inTurn(waiters, p.now())
		p.mu.Unlock()
		if all == 0 {
			select {
			case <-ctx.Done():
			case <-p.serve:
			}
			continue
		}
		for batch := range slices.Chunk(first, p.cfg.Batch) {
			p.missed(ctx, p.offer(ctx, batch, p.tiers()))
		}
		for batch := range slices.Chunk(behind, p.cfg.Batch) {
			p.missed(ctx, p.offer(ctx, p.lookUp(ctx, batch), tierAll))
		}
		p.mu.Lock()
		impatient := p.line.impatient()
		p.mu.Unlock()
		p.missed(ctx, impatient)
		p.plan.set()
		p.lined.set()
		if len(waiters) < all && p.lineLength() < all {
			continue // somebody else with the key of one who got an answer may find out now
		}
		p.pause(ctx, pause, p.serve, "pool", "serve")
	}
}

func (p *Pool) lineLength() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.line.waiters)
}

// lookUp answers those whose keys had something before. It gives nothing else: claims of other processes come first.
func (p *Pool) lookUp(ctx context.Context, waiters []*waiter) (left []*waiter) {
	claims := make([]Claim, len(waiters))
	for i, w := range waiters {
		claims[i] = w.claim
	}
	grants, err := p.claims(ctx, Pick{Pool: p.cfg.Spec.Name, Version: noVersion}, claims)
	if err != nil {
		p.failed(waiters, err)
		return nil
	}
	return p.answer(waiters, grants)
}

// offer claims for some waiters, in their order, and answers those who got something. It returns the others.
func (p *Pool) offer(ctx context.Context, left []*waiter, tiers int) []*waiter {
	order := make(map[*waiter]int, len(left))
	for i, w := range left {
		order[w] = i
	}
	for tier := range tiers {
		var unserved []*waiter
		for _, group := range p.groups(left, tier) {
			grants, err := p.claims(ctx, group.pick, group.claims)
			if err != nil {
				p.failed(group.waiters, err)
				continue
			}
			unserved = append(unserved, p.answer(group.waiters, grants)...)
		}
		slices.SortFunc(unserved, func(a, b *waiter) int { return order[a] - order[b] })
		if left = unserved; len(left) == 0 {
			break
		}
	}
	return left
}

// group is some waiters who may have the same members.
type group struct {
	pick    Pick
	claims  []Claim
	waiters []*waiter
}

// The tiers in which claims look for members: what only they may have first.
const (
	tierOwner = iota
	tierTenant
	tierAll
	tierOld // and one for each further old version
)

// tiers is the number of tiers that are worth a look.
func (p *Pool) tiers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return tierOld + len(p.oldVersions())
}

// oldVersions are the versions of ready members that a rollover still serves, by name; the lock is held.
func (p *Pool) oldVersions() []string {
	if p.spec.Rollover.AtOnce {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.view.versions), func(v string) bool { return v == p.spec.Version })
}

// readyVersions are the versions of ready members, by name.
func readyVersions(members []Member) []string {
	var found []string
	for i := range members {
		if m := &members[i]; m.State == Ready && !slices.Contains(found, m.Version) {
			found = append(found, m.Version)
		}
	}
	slices.Sort(found)
	return found
}

// groups divides waiters, in their order, by what they may have in a tier. A tier that cannot have members for them has
// none.
func (p *Pool) groups(waiters []*waiter, tier int) []*group {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*group
	var skipped []*waiter
	byPick := make(map[Pick]*group)
	now := p.now()
	for _, w := range waiters {
		pick, ok := p.pick(w, tier, now)
		if !ok {
			skipped = append(skipped, w)
			continue
		}
		g := byPick[pick]
		if g == nil {
			g = &group{pick: pick}
			byPick[pick] = g
			found = append(found, g)
		}
		g.claims, g.waiters = append(g.claims, w.claim), append(g.waiters, w)
	}
	if len(skipped) > 0 {
		found = append(found, &group{waiters: skipped})
	}
	return found
}

// pick returns what a waiter may have in a tier; the lock is held.
func (p *Pool) pick(w *waiter, tier int, now time.Time) (Pick, bool) {
	pick := Pick{Pool: p.spec.Name, Version: p.spec.Version, Freshest: p.spec.Freshest}
	if w.request.MinLife > 0 {
		pick.LivesUntil = now.Add(w.request.MinLife)
	}
	switch tier {
	case tierOwner:
		pick.For = ForOwner(w.claim.Owner)
		return pick, p.spec.Reuse.SameOwner
	case tierTenant:
		pick.For = ForTenant(w.claim.Tenant)
		return pick, p.spec.Reserves[w.claim.Tenant] > 0
	case tierAll:
		return pick, true
	}
	old := p.oldVersions()
	if tier-tierOld >= len(old) {
		return pick, false
	}
	pick.Version = old[tier-tierOld]
	return pick, true
}

// claims asks the store. No claims are answered without it.
func (p *Pool) claims(ctx context.Context, pick Pick, claims []Claim) ([]Grant, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	return askStore(ctx, p, "claim", func(ctx context.Context) ([]Grant, error) {
		grants, err := p.store.ClaimMembers(ctx, p.now(), pick, claims)
		if err == nil && len(grants) != len(claims) {
			err = fmt.Errorf("the store answered %d of %s", len(grants), text.Count(len(claims), "claim", "claims"))
		}
		return grants, err
	})
}

// failed tells those who do not wait that the store failed. The others stay: the next round asks again, until their time
// is over.
func (p *Pool) failed(waiters []*waiter, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range waiters {
		if w.request.IfEmpty == Wait {
			w.failure = err
			continue
		}
		p.line.remove(w, false)
		w.fail(err)
	}
}

// answer tells those who have an answer, and returns the others. What was given to somebody who has left is given back.
func (p *Pool) answer(waiters []*waiter, grants []Grant) (unserved []*waiter) {
	if grants == nil {
		return waiters
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for i, w := range waiters {
		g := grants[i]
		w.failure = nil
		if g.Result == GrantNew {
			p.traffic.Count(1, now)
			p.taken[g.Member.ID] = true
			p.others.serve(w.tenant, now)
		}
		if w.gone {
			if g.Result == GrantNew {
				p.abandon(g.Member)
			}
			continue
		}
		a, ok := p.reply(w, g)
		if !ok {
			unserved = append(unserved, w)
			continue
		}
		p.line.remove(w, a.err == nil)
		w.answer(a)
	}
	return unserved
}

// reply turns a grant into an answer; there is none yet for whoever goes on waiting.
func (p *Pool) reply(w *waiter, g Grant) (answer, bool) {
	switch {
	case g.Result == GrantNone:
		w.cold = uuid.Nil // what was built for its key was given up
		return answer{}, false
	case g.Result == GrantKeyReused:
		return answer{err: ErrKeyReused}, true
	case g.Result == GrantRefused:
		return answer{err: g.Err}, true
	case g.Member.cold():
		w.cold = g.Member.ID // another request with this key had it built
		return answer{}, false
	case g.Member.State != Claimed:
		return answer{err: endOf(g.Member)}, true
	}
	source := Warm
	switch {
	case w.cold != uuid.Nil:
		source = Built
	case g.Result == GrantAgain:
		source = Repeated
	case w.parked:
		source = Waited
	}
	return answer{claimed: Handout{Member: g.Member, Source: source}, fresh: g.Result == GrantNew}, true
}

// endOf says why a claim is over.
func endOf(m Member) error {
	if m.Message == "" {
		return fmt.Errorf("member %s: %w: %s", m.ID, ErrEnded, m.Reason)
	}
	return fmt.Errorf("member %s: %w: %s: %s", m.ID, ErrEnded, m.Reason, m.Message)
}

// missed deals with those who got nothing, by what they asked for.
func (p *Pool) missed(ctx context.Context, waiters []*waiter) {
	for _, w := range waiters {
		p.mu.Lock()
		first := !w.parked && w.cold == uuid.Nil && !w.gone
		if first {
			w.missed = p.diagnose(w)
			p.stats.misses[w.missed.Reason]++
			p.unserved(w)
		}
		policy := w.request.IfEmpty
		switch {
		case !first:
		case policy == Fail:
			p.line.remove(w, false)
			w.fail(&EmptyError{Pool: p.spec.Name, Why: w.missed, Waited: p.clock.Since(w.since)})
		case policy == Wait:
			w.parked = true
		}
		p.mu.Unlock()
		if first && policy == Cold {
			p.build(ctx, w)
		}
	}
}

// diagnose says why a waiter got nothing, by what the last plan saw; the lock is held.
func (p *Pool) diagnose(w *waiter) Diagnosis {
	now := p.now()
	var picks []Pick
	for tier := range tierOld {
		if pick, ok := p.pick(w, tier, now); ok {
			picks = append(picks, pick)
		}
	}
	v := &p.view
	there := make([]Member, 0, len(v.members))
	for _, m := range v.members {
		if !p.taken[m.ID] {
			there = append(there, m)
		}
	}
	return Diagnose(v.spec, there, v.failures, picks, p.line.ahead(w), now)
}

// unserved counts a claim that goes away without a member as demand, once for each owner and window: whoever tries again
// and again is one.
func (p *Pool) unserved(w *waiter) {
	now := p.now()
	if last, ok := p.missers[w.claim.Owner]; w.request.IfEmpty != Fail || ok && now.Sub(last) < p.cfg.TrafficWindow {
		return
	}
	if len(p.missers) >= maxMissers {
		clear(p.missers)
	}
	p.missers[w.claim.Owner] = now
	p.traffic.Count(1, now)
}

// maxMissers bounds the memory of owners that were not served.
const maxMissers = 10_000

// build has a member built for one claim. Its key is stored with it, so that a repetition waits for the same one.
func (p *Pool) build(ctx context.Context, w *waiter) {
	now := p.now()
	p.mu.Lock()
	m := NewMember(p.spec, newID(), ReasonCold, now)
	m.Claim = w.claim
	m.Claim.At = now
	p.mu.Unlock()
	applied, err := p.put(ctx, nil, []Change{{Member: m}})
	if err != nil {
		p.failed([]*waiter{w}, err)
		return
	}
	p.mu.Lock()
	w.cold = m.ID
	p.traffic.Count(1, now)
	p.mu.Unlock()
	if !applied[0] {
		p.serve.set() // the key is known by now: the next round finds what it has
		return
	}
	m.Revision = 1
	p.effect(Member{}, m)
	if p.left(w) {
		p.abandonKey(w.claim)
	}
}

// left reports whether nobody waits for the answer any more.
func (p *Pool) left(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return w.gone
}

func newID() uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.New() // no time or no randomness for it: any id will do
	}
	return id
}
