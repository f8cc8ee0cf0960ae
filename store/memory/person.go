package memory

import (
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

var _ store.Forgetter = (*Store)(nil)

// Forget implements [store.Forgetter].
func (s *Store) Forget(ctx context.Context, p store.Person) error {
	if err := p.Validate(); err != nil {
		return err
	}
	s.memberStore.mu.Lock()
	defer s.memberStore.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobQueue.mu.Lock()
	defer s.jobQueue.mu.Unlock()
	if what := s.holding(&p); what != "" {
		return fmt.Errorf("forget %s: %s: %w", p.ID, what, lifecycle.ErrInUse)
	}
	s.forgetEvents(&p) // while it is known whose workspaces they are of
	s.forgetFleet(&p)
	s.jobQueue.forgetPerson(&p)
	s.memberStore.forgetPerson(&p)
	return ctx.Err()
}

// holding says what keeps a person from being forgotten.
func (s *Store) holding(p *store.Person) string {
	for slot := range s.ownedBy(p) {
		if r := s.fleet.rows.at(slot); r.flags&deleted == 0 && p.Within(r.organization) {
			return fmt.Sprintf("workspace %s is not deleted", r.id)
		}
	}
	for id, j := range s.jobQueue.jobs {
		if j.Tenant == p.ID && p.ID != uuid.Nil && p.Within(j.Organization) && !j.State.Final() {
			return fmt.Sprintf("job %s is not over", id)
		}
	}
	for _, pool := range s.pools {
		for id, slot := range pool.slots {
			if r := pool.rows.at(slot); r.claim != nil && p.Is(r.claim.Owner) && r.state != prewarm.Gone {
				return fmt.Sprintf("member %s of pool %s is not gone", id, pool.state.Pool)
			}
		}
	}
	return ""
}

// ownedBy yields the rows of a person's workspaces. The one that was yielded may be removed.
func (s *Store) ownedBy(p *store.Person) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		o, ok := s.owners.get(p.ID)
		if !ok {
			return
		}
		for slot := o.members.first; slot != none; {
			next := s.fleet.rows.at(slot).ofOwner.next
			if !yield(slot) {
				return
			}
			slot = next
		}
	}
}

// forgetFleet forgets a person's workspaces and who they are, and takes them out of what others have.
func (s *Store) forgetFleet(p *store.Person) {
	f := &s.fleet
	for slot := range s.ownedBy(p) {
		if r := f.rows.at(slot); p.Within(r.organization) {
			s.removeWorkspace(r.id, slot, r)
		}
	}
	f.compactNames()
	if o, ok := s.owners.get(p.ID); ok && o.members == (chain{none}) {
		s.owners.remove(p.ID)
	}
	for _, slot := range f.slots {
		r := f.rows.at(slot)
		if !p.Within(r.organization) {
			continue
		}
		if kept, ok := f.restraints[slot]; ok && p.LeaveHold(&kept.hold) {
			f.restraints[slot] = kept
			r.revision++
		}
		if f.leaveBuilds(r.build, p) {
			r.revision++
		}
	}
	for i := range s.templates.rows {
		if t := &s.templates.rows[i]; p.Within(t.OrganizationID) && p.LeaveTemplate(&t.Template) {
			t.Revision++
		}
	}
	p.LeaveEngine(&s.engine)
}

// leaveBuilds takes a person out of the builds of a workspace, from a slot on, and reports whether the first was theirs.
func (f *fleet) leaveBuilds(latest uint32, p *store.Person) (found bool) {
	for b := latest; b != none; b = f.builds.at(b).previous {
		if o, ok := f.outcomes[b]; ok && p.Is(o.initiator) {
			o.initiator = p.Pseudonym.String()
			f.outcomes[b] = o
			found = found || b == latest
		}
	}
	return found
}

// forgetEvents takes a person out of the events that wait.
func (s *Store) forgetEvents(p *store.Person) {
	for key, l := range s.outbox.lines {
		if slot, ok := s.fleet.slots[key.subject]; ok && !p.Within(s.fleet.rows.at(slot).organization) {
			continue
		}
		for i := len(l.events) - 1; i >= 0; i-- {
			e := l.events[i]
			e.Job = cloneJob(e.Job)
			switch found, keep := p.LeaveEvent(&e); {
			case !found:
			case keep:
				l.events[i] = e
			case i == 0:
				s.outbox.drop(l)
			default:
				l.events = slices.Delete(l.events, i, i+1)
				s.outbox.count--
			}
		}
		// What is about an owner stands in the owner's line.
		if key.subject == p.ID && len(l.events) > 0 && l.events[0].Subject() != key.subject {
			delete(s.outbox.lines, key)
			l.key.subject = l.events[0].Subject()
			s.outbox.lines[l.key] = l
		}
	}
}

// forgetPerson forgets a person's jobs, and takes them out of those of others. The caller holds the lock.
func (s *Jobs) forgetPerson(p *store.Person) {
	for id, j := range s.jobs {
		switch {
		case !p.Within(j.Organization):
		case j.Tenant == p.ID && p.ID != uuid.Nil:
			heap.Remove(s.ended, j.index)
			delete(s.jobs, id)
		default:
			p.LeaveAttempts(j.history)
		}
	}
	for id, org := range s.orgs {
		for _, turn := range org.turns {
			if p.Within(id) {
				delete(turn.last, p.ID)
			}
		}
	}
	for scope, pause := range s.pauses {
		if p.Within(scope.Organization) && p.Is(pause.By) {
			pause.By, pause.Note = p.Pseudonym.String(), ""
			s.pauses[scope] = pause
		}
	}
}

// forgetPerson takes a person out of the claims that are over. The caller holds the lock.
func (s *Members) forgetPerson(p *store.Person) {
	for _, pool := range s.pools {
		if p.Is(pool.state.PausedBy) {
			pool.state.PausedBy = p.Pseudonym.String()
			pool.state.Revision++
		}
		for _, slot := range pool.slots {
			r := pool.rows.at(slot)
			if r.claim != nil && p.Is(r.claim.Owner) {
				c := *r.claim
				c.Owner, c.Details, r.message = p.Pseudonym.String(), "", ""
				r.claim = &c
				r.revision++
			}
		}
	}
}
