package worker

import (
	"context"
	"reflect"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// ender is what a source in the same process can do beyond [Source]: try to store several ends at once. It returns an error for each, nil where
// the end is stored; others are to be stored by [Source.End].
type ender interface {
	EndJobs(ctx context.Context, ends []queue.End) []error
}

// enderOf returns a source as an ender if it is one. Whoever embeds a source in a type of his own has its EndJobs as well, but may mean his own End.
func enderOf(source Source) ender {
	e, ok := source.(ender)
	if !ok || embedsEnder(reflect.TypeOf(source)) {
		return nil
	}
	return e
}

func embedsEnder(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && (f.Type.Implements(enderType) || reflect.PointerTo(f.Type).Implements(enderType)) {
			return true
		}
	}
	return false
}

var enderType = reflect.TypeFor[ender]()

// ends are those on their way to the store whose slots run the next jobs meanwhile: [Config.Ending] at most. A goroutine for each would
// cost more than a short job does, so they go together where the source can do that: whatever comes while some are being stored is next.
type ends struct {
	*Worker
	running context.Context
	source  ender // nil: each goes by itself
	going   sync.WaitGroup

	mu sync.Mutex
	// count is how many are on their way, and waiting are those of them that go next.
	count   int
	waiting []queue.End
	// busy: some are being stored together.
	busy bool
}

func newEnds(w *Worker, running context.Context) *ends {
	return &ends{Worker: w, running: running, source: enderOf(w.source)}
}

// send lets an end go on its way, and reports whether there was room for it.
func (s *ends) send(e queue.End) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= s.cfg.Ending {
		return false
	}
	s.count++
	if s.source == nil {
		s.alone(e)
		return true
	}
	s.waiting = append(s.waiting, e)
	if !s.busy {
		s.busy = true
		s.going.Go(s.together)
	}
	return true
}

// alone stores one end, however often that takes.
func (s *ends) alone(e queue.End) {
	s.going.Go(func() {
		s.end(s.running, e)
		s.stored(1)
	})
}

// together stores ends until none waits. What could not be stored with the others goes alone.
func (s *ends) together() {
	var batch []queue.End
	for {
		if batch = s.next(batch); len(batch) == 0 {
			return
		}
		stored, errs := 0, s.source.EndJobs(context.WithoutCancel(s.running), batch)
		for i, e := range batch {
			if i < len(errs) && errs[i] == nil {
				stored++
			} else {
				s.alone(e)
			}
		}
		s.stored(stored)
	}
}

// next takes those that wait, and gives back the room of those that went before.
func (s *ends) next(before []queue.End) []queue.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(before)
	batch := s.waiting
	s.waiting, s.busy = before[:0], len(batch) > 0
	return batch
}

func (s *ends) stored(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count -= n
}

// wait returns when all are stored; none is sent any more.
func (s *ends) wait() { s.going.Wait() }
