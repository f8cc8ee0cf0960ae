package rendercache

import (
	"runtime"
	"sync"
)

// goroutines run renders. A few of them stay for the next ones: the stack of a new one grows anew on the way through a render,
// which costs as much as all that the cache does for a miss.
type goroutines struct {
	feed  chan func()   // to those that wait
	room  chan struct{} // a token for each that waits
	ended chan struct{}
	all   sync.WaitGroup
}

func (g *goroutines) init() {
	g.feed, g.ended = make(chan func()), make(chan struct{})
	g.room = make(chan struct{}, runtime.GOMAXPROCS(0))
}

// start runs work on a goroutine of its own. It does not wait.
func (g *goroutines) start(work func()) {
	select {
	case g.feed <- work:
	default:
		g.all.Go(func() { g.serve(work) })
	}
}

// serve runs work, and what is given to it later while it waits. Work that ends its goroutine ends it.
func (g *goroutines) serve(work func()) {
	for work != nil {
		work()
		work = g.next()
	}
}

// next waits for work; nil if enough others do, or none will come.
func (g *goroutines) next() (work func()) {
	select {
	case g.room <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-g.room }()
	select {
	case work = <-g.feed:
		return work
	case <-g.ended:
		return nil
	}
}

// end waits until all have ended. Nothing may be started afterwards.
func (g *goroutines) end() {
	close(g.ended)
	g.all.Wait()
}
