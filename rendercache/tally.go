package rendercache

import (
	"sync"
	"sync/atomic"
)

// tally counts what every core does all the time. With one counter each core would wait for the cache line that another
// has just written, which can cost more than all the rest of a hit; so there are some, and a core keeps to the one it had
// last. The sum is exact.
type tally struct{ cells [tallyCells]cell }

const tallyCells = 16

type cell struct {
	n atomic.Uint64
	_ [56]byte
}

// stripes are places in tallies. The pool gives a core what it has put back itself.
var (
	stripes = sync.Pool{New: func() any { return &stripe{int(taken.Add(1) % tallyCells)} }}
	taken   atomic.Uint32
)

type stripe struct{ cell int }

func (t *tally) add() {
	s := stripes.Get().(*stripe)
	t.cells[s.cell].n.Add(1)
	stripes.Put(s)
}

func (t *tally) sum() (n uint64) {
	for i := range t.cells {
		n += t.cells[i].n.Load()
	}
	return n
}
