// Package goroutines keeps goroutines for what comes next. The stack of a new one grows anew on the way through each call,
// which costs more than many a call itself.
package goroutines

import (
	"sync"
	"sync/atomic"
	"time"
)

// Pool runs functions on goroutines of their own, of which some stay when they are done. It bounds how many of them wait, not
// how many run. Its methods may be called from any goroutine.
type Pool struct {
	idle    int64
	rest    time.Duration
	feed    chan func() // to those that wait; nil sends one away
	ended   chan struct{}
	all     sync.WaitGroup
	waiting atomic.Int64 // and those that are just finding that enough do
	state   atomic.Int32
}

// The states of a pool.
const (
	unwatched = iota // no look is to come
	quiet            // one is, and nobody came to wait since the last
	busy             // one is, and somebody did
)

// New returns a pool of which up to idle goroutines wait for work at a time, until End, or until nothing came for rest; it may take
// twice as long. If rest is 0, they wait until End. The pool must not be copied.
func New(idle int, rest time.Duration) *Pool {
	return &Pool{idle: int64(idle), rest: rest, feed: make(chan func()), ended: make(chan struct{})}
}

// Start runs work, and returns at once. Work may end its goroutine. It may be called after End.
func (p *Pool) Start(work func()) {
	select {
	case p.feed <- work:
	default:
		p.all.Go(func() { p.serve(work) })
	}
}

// serve runs work, and what is given to it later while it waits.
func (p *Pool) serve(work func()) {
	for work != nil {
		work()
		work = p.next()
	}
}

// next waits for work; nil if enough others do, if nothing came for long, or if the pool has ended.
func (p *Pool) next() (work func()) {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.idle {
		return nil
	}
	if p.rest > 0 && p.state.Load() != busy { // a write each time would take the value away from the other cores
		p.watch()
	}
	select {
	case work = <-p.feed:
		return work
	case <-p.ended:
		return nil
	}
}

// watch sees to it that looks come, and that the next one sends nobody away. The pool has one timer, because one for each wait
// would cost more than the waiting saves.
func (p *Pool) watch() {
	if p.state.Swap(busy) == unwatched {
		p.lookLater()
	}
}

func (p *Pool) lookLater() {
	time.AfterFunc(p.rest, p.look) //nolint:forbidigo // memory is given back in real time; an injected clock may stand still
}

// look sends away those that wait, if nobody came to wait since the last look. Who comes while it does so may have relied on it,
// and is found among those that wait.
func (p *Pool) look() {
	if p.state.CompareAndSwap(busy, quiet) {
		p.lookLater()
		return
	}
	p.state.Store(unwatched)
	p.dismiss()
	if p.waiting.Load() > 0 {
		p.watch()
	}
}

// dismiss sends away those that wait.
func (p *Pool) dismiss() {
	for {
		select {
		case p.feed <- nil:
		default:
			return
		}
	}
}

// End ends the goroutines that wait, now and later; it waits for none. It is to be called once.
func (p *Pool) End() { close(p.ended) }

// Wait waits until all goroutines have ended. Start must not be called at the same time.
func (p *Pool) Wait() { p.all.Wait() }
