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
	if embedsEnder(reflect.TypeOf(source)) {
		return nil
	}
	e, _ := source.(ender)
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

// ends are those that are being stored. Where the source can do that they go together: whatever comes while some are being stored is next.
// Of those whose slots run the next jobs meanwhile there are [Config.Ending] at most.
type ends struct {
	*Worker
	running context.Context
	source  ender // nil: each goes by itself
	going   sync.WaitGroup

	mu sync.Mutex
	// ahead is how many are on their way whose slots do not wait for them.
	ahead   int
	waiting []ending
	// busy: some are being stored together.
	busy bool
}

// ending is an end that is being stored with others.
type ending struct {
	queue.End
	// told hears whether it was stored, if its slot waits for that; nil: its slot does not.
	told chan<- bool
}

func newEnds(w *Worker, running context.Context) *ends {
	return &ends{Worker: w, running: running, source: enderOf(w.source)}
}

// store stores an end, or lets it go on its way if one more may. Told is a slot's own.
func (s *ends) store(e queue.End, told chan bool) {
	switch ahead := s.send(e, told); {
	case ahead:
	case s.source != nil && <-told:
	default:
		s.end(s.running, e)
	}
}

// send sends an end to be stored, and reports whether its slot need not wait for that. If it has to and there is nobody to send it to, nothing
// is done.
func (s *ends) send(e queue.End, told chan<- bool) (ahead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ahead = s.ahead < s.cfg.Ending; ahead {
		s.ahead++
		told = nil
	}
	switch {
	case s.source != nil:
		s.waiting = append(s.waiting, ending{e, told})
	case ahead:
		s.alone(e)
		return ahead
	default:
		return ahead
	}
	if !s.busy {
		s.busy = true
		s.going.Go(s.together)
	}
	return ahead
}

// alone stores one end on its way, however often that takes.
func (s *ends) alone(e queue.End) {
	s.going.Go(func() {
		s.end(s.running, e)
		s.stored(1)
	})
}

// together stores ends until none waits. What could not be stored with the others goes alone.
func (s *ends) together() {
	var batch []ending
	var list []queue.End
	for {
		if batch = s.next(batch); len(batch) == 0 {
			return
		}
		list = list[:0]
		for i := range batch {
			list = append(list, batch[i].End)
		}
		errs := s.source.EndJobs(context.WithoutCancel(s.running), list)
		ahead := 0
		for i, e := range batch {
			switch stored := i < len(errs) && errs[i] == nil; {
			case e.told != nil:
				e.told <- stored
			case stored:
				ahead++
			default:
				s.alone(e.End)
			}
		}
		s.stored(ahead)
		clear(list)
	}
}

// next takes those that wait, and gives back the room of those that went before.
func (s *ends) next(before []ending) []ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(before)
	batch := s.waiting
	s.waiting, s.busy = before[:0], len(batch) > 0
	return batch
}

func (s *ends) stored(ahead int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead -= ahead
}

// wait returns when all are stored; none is sent any more.
func (s *ends) wait() { s.going.Wait() }
