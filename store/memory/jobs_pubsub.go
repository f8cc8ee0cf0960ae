package memory

import (
	"context"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// maxBacklog is how many messages a listener may lag behind before it loses them all.
const maxBacklog = 1024

// Pubsub is a [queue.Pubsub] for several acquirers of one process, in tests above all. Its zero value is ready.
// A listener that does not keep up loses messages and gets a Gap instead; a publisher never waits. Methods are safe for
// concurrent use.
type Pubsub struct {
	mu        sync.Mutex
	listeners map[*backlog]struct{}
}

var (
	_ queue.Pubsub  = (*Pubsub)(nil)
	_ queue.Carrier = (*Pubsub)(nil)
)

// backlog is what a listener has not received yet.
type backlog struct {
	mu       sync.Mutex
	messages []string
	gap      bool
	filled   chan struct{} // room for one
}

// Publish implements [queue.Pubsub].
func (p *Pubsub) Publish(_ context.Context, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for waiting := range p.listeners {
		waiting.put(message)
	}
	return nil
}

// carried is a message that goes out with postings.
type carried struct {
	bus   *Pubsub
	parts []string
}

type carriedKey struct{}

// Carry implements [queue.Carrier], for stores of this package.
func (p *Pubsub) Carry(ctx context.Context, parts []string) context.Context {
	return context.WithValue(ctx, carriedKey{}, carried{p, parts})
}

// announce sends the message that came with postings, if one did, and says so of the jobs that they have made.
func announce(ctx context.Context, jobs []queue.Job) {
	m, ok := ctx.Value(carriedKey{}).(carried)
	if !ok {
		return
	}
	least := int64(math.MaxInt64)
	for i := range jobs {
		if !jobs[i].Duplicate {
			jobs[i].Announced, least = true, min(least, jobs[i].Order)
		}
	}
	if least < math.MaxInt64 {
		_ = m.bus.Publish(ctx, strings.Join(m.parts, strconv.FormatInt(least, 10))) // it does not fail
	}
}

// Listen implements [queue.Pubsub].
func (p *Pubsub) Listen(ctx context.Context, l queue.Listener) error {
	waiting := &backlog{gap: true, filled: make(chan struct{}, 1)}
	waiting.filled <- struct{}{}
	p.add(waiting)
	defer p.remove(waiting)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-waiting.filled:
		}
		messages, gap := waiting.take()
		if gap {
			l.Gap()
		}
		for _, message := range messages {
			l.Message(message)
		}
	}
}

func (p *Pubsub) add(waiting *backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		p.listeners = make(map[*backlog]struct{})
	}
	p.listeners[waiting] = struct{}{}
}

func (p *Pubsub) remove(waiting *backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, waiting)
}

func (b *backlog) put(message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == maxBacklog {
		b.messages, b.gap = nil, true
	}
	b.messages = append(b.messages, message)
	select {
	case b.filled <- struct{}{}:
	default:
	}
}

func (b *backlog) take() (messages []string, gap bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, gap = b.messages, b.gap
	b.messages, b.gap = nil, false
	return messages, gap
}
