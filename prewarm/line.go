package prewarm

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// line orders the claims that wait. Within a tenant it is first come, first served; among tenants each gets one after
// the other, however many of one wait (start-time fair queueing: a claim's turn is one after that of the tenant's claim
// before, and not before the turn that is being served).
type line struct {
	waiters []*waiter // by turn, then arrival
	turns   map[string]uint64
	turn    uint64 // of whoever was served last
	arrived uint64
}

func newLine() line { return line{turns: make(map[string]uint64)} }

// waiter is one claim in the line.
type waiter struct {
	claim   Claim
	request Request
	tenant  string // as notes call it
	since   time.Time
	turn    uint64
	arrival uint64
	// Below: guarded by the pool's lock.
	gone    bool // nobody waits for the answer any more
	parked  bool // it was told that there is no member, and waits for one
	cold    uuid.UUID
	missed  Diagnosis
	failure error // what the store said last, while the claim waits for it
	done    bool
	answers chan answer // has room for the one answer
}

type answer struct {
	claimed Handout
	// fresh says that the member was ready a moment ago: nobody else can have it by the same key.
	fresh bool
	err   error
}

func (w *waiter) fail(err error) { w.answer(answer{err: err}) }

func (w *waiter) answer(a answer) {
	if !w.done {
		w.done = true
		w.answers <- a
	}
}

func (l *line) add(w *waiter) {
	tenant := w.claim.Tenant
	w.turn = max(l.turns[tenant], l.turn) + 1
	l.turns[tenant] = w.turn
	l.arrived++
	w.arrival = l.arrived
	at, _ := slices.BinarySearchFunc(l.waiters, w, before)
	l.waiters = slices.Insert(l.waiters, at, w)
}

func before(a, b *waiter) int {
	switch {
	case a.turn != b.turn && a.turn < b.turn, a.turn == b.turn && a.arrival < b.arrival:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// remove takes a waiter out. One that was not served gives its turn back, if it was its tenant's last.
func (l *line) remove(w *waiter, served bool) {
	at, ok := slices.BinarySearchFunc(l.waiters, w, before)
	if !ok {
		return
	}
	l.waiters = slices.Delete(l.waiters, at, at+1)
	tenant := w.claim.Tenant
	if served {
		l.turn = max(l.turn, w.turn)
	} else if l.turns[tenant] == w.turn {
		l.turns[tenant]--
	}
	if l.turns[tenant] <= l.turn {
		delete(l.turns, tenant)
	}
}

// all returns the claims in the order in which they are to be served. Of several with one key it returns the first: the
// others find out what that gets.
func (l *line) all() []*waiter {
	keys := make(map[string]bool, len(l.waiters))
	found := make([]*waiter, 0, len(l.waiters))
	for _, w := range l.waiters {
		if !keys[w.claim.Key] {
			keys[w.claim.Key] = true
			found = append(found, w)
		}
	}
	return found
}

// impatient are the claims that shall not wait, though another one waits for a member with their key. While one is built for that
// key they stay: it will be theirs as well.
func (l *line) impatient() (found []*waiter) {
	first := make(map[string]*waiter, len(l.waiters))
	for _, w := range l.waiters {
		switch head := first[w.claim.Key]; {
		case head == nil:
			first[w.claim.Key] = w
		case w.request.IfEmpty == Fail && head.parked && head.cold == uuid.Nil:
			found = append(found, w)
		}
	}
	return found
}

// waiting counts the claims that want a member of the pool: not those that one is being built for.
func (l *line) waiting() int {
	n := 0
	for _, w := range l.waiters {
		if w.parked && w.cold == uuid.Nil {
			n++
		}
	}
	return n
}

// ahead counts the claims before a waiter.
func (l *line) ahead(w *waiter) int {
	at, _ := slices.BinarySearchFunc(l.waiters, w, before)
	return at
}
