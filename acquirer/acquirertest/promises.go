package acquirertest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// promises are what a caller of a store promises by the contract of [queue.Store]: what a store may rely on, and a test would
// otherwise not see broken.
type promises struct {
	tokens map[uuid.UUID]bool
	broken []string
}

// maxBroken bounds what is kept of broken promises.
const maxBroken = 20

func (p *promises) note(format string, args ...any) {
	if len(p.broken) < maxBroken {
		p.broken = append(p.broken, fmt.Sprintf(format, args...))
	}
}

// claim checks a claim before it is made.
func (p *promises) claim(c queue.Claim) {
	if p.tokens == nil {
		p.tokens = make(map[uuid.UUID]bool)
	}
	if p.tokens[c.Token] {
		p.note("token %s is used twice", c.Token)
	}
	p.tokens[c.Token] = true
	if len(c.Secrets) != len(c.Workers) {
		p.note("a claim for %d workers has %d secrets", len(c.Workers), len(c.Secrets))
	}
	if len(c.Workers) == 0 || len(c.Probes) == 0 {
		p.note("a claim for %d workers of %d lanes is in vain", len(c.Workers), len(c.Probes))
		return
	}
	for i, probe := range c.Probes {
		if probe.Lane.Organization != c.Probes[0].Lane.Organization {
			p.note("a claim has lanes of several organizations")
		}
		if slices.ContainsFunc(c.Probes[:i], func(q queue.Probe) bool { return q.Lane == probe.Lane }) {
			p.note("a claim names lane %+v twice", probe.Lane)
		}
	}
}

// leases checks that no lease is named twice in one call.
func (p *promises) leases(verb Verb, leases []queue.Lease) {
	seen := make(map[queue.Lease]bool, len(leases))
	for _, l := range leases {
		if seen[l] {
			p.note("%s names lease %v twice", verb, l)
		}
		seen[l] = true
	}
}

// check runs a check.
func (s *Store) check(f func(p *promises)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.promises)
}

// Broken says which promises of the contract the callers of this store have broken: a token or a lease named twice, lanes of
// several organizations in one claim, and the like. A test of an acquirer ends by seeing that it is empty. See [Store.Withheld]
// for the promise of a bound, which a process can only keep as far as it has heard of what others post.
func (s *Store) Broken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.promises.broken)
}
