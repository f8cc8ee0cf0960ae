// Package acquirertest holds doubles for tests of hosts and of the acquirer itself: a pubsub that misbehaves
// in every way a real one may, a store that loses answers, and a clock on which an acquirer does not look into the store by
// itself. They do so by the test's choice, never by chance of their own.
//
// The package links no test library, so a host's own tests may use it freely.
package acquirertest

import (
	"context"
	"errors"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Fate is what happens to one message on its way to one listener.
type Fate int

// The fates. A held message waits for [Pubsub.Deliver], so that the test decides when and in which order.
const (
	Pass Fate = iota
	Drop
	Double
	Hold
)

// Pubsub is a [queue.Pubsub] whose messages meet the fate that the test chooses. Its zero value passes
// everything on.
type Pubsub struct {
	bus memory.Pubsub

	mu       sync.Mutex
	fate     func(message string) Fate
	held     []heldMessage
	fail     error
	sent     int
	cut      chan struct{}
	deafened bool
}

type heldMessage struct {
	listener queue.Listener
	lock     *sync.Mutex
	text     string
}

// Choose sets the fate of every message from now on; nil passes all.
func (p *Pubsub) Choose(fate func(message string) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = fate
}

// FailPublish lets every Publish fail with err until it is called with nil.
func (p *Pubsub) FailPublish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// ErrCut is what a listener gets when the test cuts its connection.
var ErrCut = errors.New("acquirertest: connection cut")

// Cut ends all connections that listen now. New ones come up unless refuse is set.
func (p *Pubsub) Cut(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deafened = refuse
	if p.cut != nil {
		close(p.cut)
	}
	p.cut = make(chan struct{})
}

// Sent is the number of messages published so far.
func (p *Pubsub) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Held is the number of messages that wait for Deliver, counted for each listener.
func (p *Pubsub) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// Deliver hands over the i-th held message, so that a test can reorder them. It returns false if there is none.
func (p *Pubsub) Deliver(i int) bool {
	p.mu.Lock()
	if i < 0 || i >= len(p.held) {
		p.mu.Unlock()
		return false
	}
	m := p.held[i]
	p.held = append(p.held[:i:i], p.held[i+1:]...)
	p.mu.Unlock()
	m.lock.Lock()
	defer m.lock.Unlock()
	m.listener.Message(m.text)
	return true
}

// Publish implements [queue.Pubsub].
func (p *Pubsub) Publish(ctx context.Context, message string) error {
	p.mu.Lock()
	err := p.fail
	if err == nil {
		p.sent++
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.bus.Publish(ctx, message)
}

// Carry implements [queue.Carrier] for a [memory.Jobs]. The message meets its fate as those that are published do, and counts as sent.
// While Publish fails nothing is carried.
func (p *Pubsub) Carry(ctx context.Context, parts []string) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return ctx
	}
	p.sent++
	return p.bus.Carry(ctx, parts)
}

// Listen implements [queue.Pubsub].
func (p *Pubsub) Listen(ctx context.Context, l queue.Listener) error {
	p.mu.Lock()
	if p.deafened {
		p.mu.Unlock()
		return ErrCut
	}
	if p.cut == nil {
		p.cut = make(chan struct{})
	}
	cut := p.cut
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer func() { <-done }()
	defer cancel(nil)
	go func() {
		defer close(done)
		select {
		case <-cut:
			cancel(ErrCut)
		case <-ctx.Done():
		}
	}()
	err := p.bus.Listen(ctx, &faulty{pubsub: p, listener: l})
	return errors.Join(err, context.Cause(ctx))
}

// faulty gives each message its fate. Its lock keeps calls of the listener one at a time.
type faulty struct {
	pubsub   *Pubsub
	listener queue.Listener
	lock     sync.Mutex
}

func (f *faulty) Message(text string) {
	times := f.pubsub.decide(f, text)
	f.lock.Lock()
	defer f.lock.Unlock()
	for range times {
		f.listener.Message(text)
	}
}

func (f *faulty) Gap() {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.listener.Gap()
}

// decide returns how many times the message is handed over now.
func (p *Pubsub) decide(f *faulty, text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fate == nil {
		return 1
	}
	switch p.fate(text) {
	case Drop:
		return 0
	case Double:
		return 2
	case Hold:
		p.held = append(p.held, heldMessage{f.listener, &f.lock, text})
		return 0
	}
	return 1
}
