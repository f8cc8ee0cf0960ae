// Package liveness judges which processes live, by counts of beats alone. Each process raises a count in a store that all
// share; each other one notes, by its own clock, when it first saw the count as it is. So no two clocks are ever compared, and
// a judge that has just begun gives everybody the whole time. What a process says about itself beside its count is a note that
// nobody has to understand to know that it lives (see [ReadNotes]).
//
// It keeps no beats and sends none: that is the store's and the engine's. It is not safe for concurrent use.
package liveness

import "time"

// Beat is a process's count as it is stored.
type Beat[ID comparable] struct {
	ID    ID
	Count int64
}

// Watch notes since when each count is as it is. The zero value has seen nobody.
type Watch[ID comparable] struct {
	seen map[ID]sighting
}

type sighting struct {
	count int64
	at    time.Time
}

// Update takes in the counts of all processes as they are stored at an instant of our clock. Those that are not among them are
// forgotten.
func (w *Watch[ID]) Update(beats []Beat[ID], now time.Time) {
	seen := make(map[ID]sighting, len(beats))
	for _, b := range beats {
		s, known := w.seen[b.ID]
		if !known || s.count != b.Count {
			s = sighting{b.Count, now}
		}
		seen[b.ID] = s
	}
	w.seen = seen
}

// Silence is for how long a process's count has stood still, as far as was seen; known is false if it is not registered.
func (w *Watch[ID]) Silence(id ID, now time.Time) (silence time.Duration, known bool) {
	s, known := w.seen[id]
	if !known {
		return 0, false
	}
	return now.Sub(s.at), true
}

// All yields those that are registered, in no particular order.
func (w *Watch[ID]) All(yield func(ID) bool) {
	for id := range w.seen {
		if !yield(id) {
			return
		}
	}
}

// ReadNotes reads what processes say about themselves, each by itself: one that cannot be read is counted, and its process is
// in the answer all the same, with the zero value.
func ReadNotes[ID comparable, Note any](notes map[ID][]byte, read func([]byte) (Note, error)) (known map[ID]Note, unreadable int) {
	known = make(map[ID]Note, len(notes))
	for id, text := range notes {
		note, err := read(text)
		if err != nil {
			unreadable++
			note = *new(Note)
		}
		known[id] = note
	}
	return known, unreadable
}
