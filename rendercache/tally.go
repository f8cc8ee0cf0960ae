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

// seats are places in tallies. The pool gives a core what it has put back itself.
var (
	seats = sync.Pool{New: func() any { return &seat{int(taken.Add(1) % tallyCells)} }}
	taken atomic.Uint32
)

type seat struct{ cell int }

func (t *tally) add() {
	s := seats.Get().(*seat)
	t.cells[s.cell].n.Add(1)
	seats.Put(s)
}

func (t *tally) sum() (n uint64) {
	for i := range t.cells {
		n += t.cells[i].n.Load()
	}
	return n
}
