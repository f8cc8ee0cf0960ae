package rendercache

import (
	"container/list"
	"context"
	"sync"

	"github.com/google/uuid"
)

// slots are the places of the renders that run at once. Owners take turns: who asks for many renders waits behind itself and delays
// another owner by one render at most, for which a part of the places is kept free of each owner. What belongs to no owner takes
// turns as one, without that bound.
type slots struct {
	limit, perOwner int

	mu      sync.Mutex
	running int
	owners  map[uuid.UUID]*slotOwner // those with renders that run or wait
	turns   list.List                // of *slotOwner: those that wait and have room
	// spare is one that was forgotten, for the next to come: most are made and forgotten with one render.
	spare *slotOwner
}

type slotOwner struct {
	id      uuid.UUID
	running int
	line    list.List // of *ticket
	turn    *list.Element
}

// ticket is one render's claim to a place.
type ticket struct {
	slots *slots // of the cache that the render belongs to
	owner uuid.UUID
	// free: it needs no place, because somebody who has one waits for it.
	free    bool
	place   *list.Element // in its owner's line; nil outside
	granted chan struct{} // closed when it may run; nil unless it waits
	// of is the owner that it runs for; nil before and after, and for one that is free.
	of *slotOwner
	// runs says that it was let in and has not left.
	runs bool
}

func newSlots(limit int, share float64) *slots {
	s := &slots{limit: limit, perOwner: limit, owners: make(map[uuid.UUID]*slotOwner)}
	if share < 1 {
		s.perOwner = max(1, limit-int(share*float64(limit)))
	}
	return s
}

// acquire waits until the ticket's render may run, or ctx ends.
func (s *slots) acquire(ctx context.Context, t *ticket) error {
	if s.enter(t) {
		return nil
	}
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place == nil { // both at once
		s.leave(t)
	} else {
		s.unline(t)
	}
	return ctx.Err()
}

// enter lets a render in at once or puts it in line, and reports which.
func (s *slots) enter(t *ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.free {
		t.runs = true
		return true
	}
	o := s.owner(t.owner)
	if s.running < s.limit && s.turns.Len() == 0 && o.line.Len() == 0 && s.room(o) {
		s.start(o, t)
		return true
	}
	t.granted = make(chan struct{})
	t.place = o.line.PushBack(t)
	s.offer(o)
	return false
}

// room reports whether an owner may run one more.
func (s *slots) room(o *slotOwner) bool { return o.id == uuid.Nil || o.running < s.perOwner }

func (s *slots) start(o *slotOwner, t *ticket) {
	t.runs, t.of = true, o
	s.running++
	o.running++
}

func (s *slots) owner(id uuid.UUID) *slotOwner {
	o, ok := s.owners[id]
	if !ok {
		if o, s.spare = s.spare, nil; o == nil {
			o = &slotOwner{}
		}
		o.id = id
		s.owners[id] = o
	}
	return o
}

// offer gives an owner a turn if it waits and has room, or forgets one that neither waits nor runs.
func (s *slots) offer(o *slotOwner) {
	switch {
	case o.line.Len() == 0:
		if o.turn != nil {
			s.turns.Remove(o.turn)
			o.turn = nil
		}
		if o.running == 0 {
			delete(s.owners, o.id)
			s.spare = o
		}
	case o.turn == nil && s.room(o):
		o.turn = s.turns.PushBack(o)
	}
}

// grant lets in whose turn it is, as long as there are places.
func (s *slots) grant() {
	for s.running < s.limit && s.turns.Len() > 0 {
		o := s.turns.Remove(s.turns.Front()).(*slotOwner)
		o.turn = nil
		t := o.line.Remove(o.line.Front()).(*ticket)
		t.place = nil
		s.start(o, t)
		close(t.granted)
		s.offer(o)
	}
}

// release gives the place of a render back.
func (s *slots) release(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(t)
}

func (s *slots) leave(t *ticket) {
	t.runs = false
	if o := t.of; o != nil {
		t.of = nil
		s.running--
		o.running--
		s.offer(o)
		s.grant()
	}
}

// unline takes a ticket out of its owner's line.
func (s *slots) unline(t *ticket) {
	o := s.owner(t.owner)
	o.line.Remove(t.place)
	t.place = nil
	s.offer(o)
}

// within reports whether ctx is that of a render that has a place here now, itself or because another does that waits for it.
func (s *slots) within(ctx context.Context) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := rootOf(ctx); o != nil; o = rootOf(o.caller) {
		if t := &o.ticket; t.slots == s && t.runs {
			return true
		}
	}
	return false
}

// admit lets a render run without a place: somebody who has one waits for it, and would wait for ever if all did.
func (s *slots) admit(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.free = true
	if t.place != nil {
		s.unline(t)
		t.runs = true
		close(t.granted)
	}
}
