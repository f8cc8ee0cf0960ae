package worker

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/coder/quartz"

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

	// ctx is that of calls for several ends, and guard ends it. They serve one call after the other until ctx has ended, so that a call
	// allocates neither. Only the goroutine that makes the calls uses them, and wait after it.
	ctx    context.Context
	cancel context.CancelCauseFunc
	guard  *quartz.Timer
}

// ending is an end that is being stored with others.
type ending struct {
	queue.End
	// until is when it is given up.
	until time.Time
	// told hears whether it was stored, if its slot waits for that; nil: its slot does not.
	told chan<- bool
}

func newEnds(w *Worker, running context.Context) *ends {
	return &ends{Worker: w, running: running, source: enderOf(w.source)}
}

// store stores an end, or lets it go on its way if one more may. Told is a slot's own.
func (s *ends) store(e queue.End, told chan bool) {
	it := ending{e, s.deliverUntil(), told}
	switch ahead := s.send(it); {
	case ahead:
	case s.source != nil && <-told:
	default:
		s.end(s.running, e, it.until)
	}
}

// send sends an end to be stored, and reports whether its slot need not wait for that. If it has to and there is nobody to send it to, nothing
// is done.
func (s *ends) send(e ending) (ahead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ahead = s.ahead < s.cfg.Ending; ahead {
		s.ahead++
		e.told = nil
	}
	switch {
	case s.source != nil:
		s.waiting = append(s.waiting, e)
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

// alone stores one end on its way, however often that takes while it has time.
func (s *ends) alone(e ending) {
	s.going.Go(func() {
		s.end(s.running, e.End, e.until)
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
		errs := s.try(list, batch[0].until)
		ahead := 0
		for i, e := range batch {
			switch stored := i < len(errs) && errs[i] == nil; {
			case e.told != nil:
				e.told <- stored
			case stored:
				ahead++
			default:
				s.alone(e)
			}
		}
		s.stored(ahead)
		clear(list)
	}
}

// try tries once to store ends together, in the time that is left to the first of them.
func (s *ends) try(list []queue.End, until time.Time) []error {
	if s.ctx == nil || s.ctx.Err() != nil {
		s.ctx, s.cancel, s.guard = s.delivering(s.running, until)
	} else {
		s.guard.Reset(s.cfg.Clock.Until(until))
	}
	defer s.guard.Stop()
	return s.source.EndJobs(s.ctx, list)
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
func (s *ends) wait() {
	s.going.Wait()
	if s.cancel != nil {
		s.cancel(nil)
	}
}
