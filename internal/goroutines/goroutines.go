// Package goroutines keeps goroutines for what comes next. The stack of a new one grows anew on the way through each call,
// which costs more than many a call itself.
package goroutines

import "sync"

// Pool runs functions on goroutines of their own, of which some stay when they are done. It bounds how many of them wait, not
// how many run. Its methods may be called from any goroutine.
type Pool struct {
	feed  chan func()   // to those that wait
	room  chan struct{} // a token for each that waits
	ended chan struct{}
	all   sync.WaitGroup
}

// New returns a pool of which up to idle goroutines wait for work at a time, until End.
func New(idle int) *Pool {
	return &Pool{feed: make(chan func()), room: make(chan struct{}, idle), ended: make(chan struct{})}
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

// next waits for work; nil if enough others do, or the pool has ended.
func (p *Pool) next() (work func()) {
	select {
	case p.room <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-p.room }()
	select {
	case work = <-p.feed:
		return work
	case <-p.ended:
		return nil
	}
}

// End ends the goroutines that wait, now and later; it waits for none. It is to be called once.
func (p *Pool) End() { close(p.ended) }

// Wait waits until all goroutines have ended. Start must not be called at the same time.
func (p *Pool) Wait() { p.all.Wait() }
