package webui

import (
	"sync"

	"github.com/google/uuid"
)

// streams counts the pages that are kept up to date, and whose they are.
type streams struct {
	most int

	mu  sync.Mutex
	all int
	of  map[uuid.UUID]int // of owners
}

// open counts a stream, unless there are too many. An owner has a tenth of them at most, so that one who opens page after page
// leaves some to the others. Call closed when it is over.
func (s *streams) open(who Viewer) (closed func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most || !who.Operator && s.of[who.Owner] >= max(1, s.most/10) {
		return nil, false
	}
	s.add(who, 1)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.add(who, -1)
	}, true
}

func (s *streams) add(who Viewer, n int) {
	s.all += n
	if who.Operator {
		return
	}
	if s.of[who.Owner] += n; s.of[who.Owner] == 0 {
		delete(s.of, who.Owner)
	}
}
