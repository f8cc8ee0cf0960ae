package memory

import (
	"context"
	"sync"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// memoryBacklog is how many messages a listener may lag behind before it loses them all and learns of a gap.
const memoryBacklog = 1024

// Pubsub is a [queue.Pubsub] for several acquirers of one process, in tests above all. Its zero value is ready.
// A listener that does not keep up loses messages and learns of it as a gap; a publisher never waits.
type Pubsub struct {
	mu        sync.Mutex
	listeners map[*mailbox]struct{}
}

type mailbox struct {
	mu       sync.Mutex
	messages []string
	gap      bool
	filled   chan struct{} // room for one
}

// Publish implements [queue.Pubsub].
func (m *Pubsub) Publish(_ context.Context, message string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for box := range m.listeners {
		box.put(message)
	}
	return nil
}

// Listen implements [queue.Pubsub].
func (m *Pubsub) Listen(ctx context.Context, l queue.Listener) error {
	box := &mailbox{gap: true, filled: make(chan struct{}, 1)}
	box.filled <- struct{}{}
	m.add(box)
	defer m.remove(box)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-box.filled:
		}
		messages, gap := box.take()
		if gap {
			l.Gap()
		}
		for _, message := range messages {
			l.Message(message)
		}
	}
}

func (m *Pubsub) add(box *mailbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners == nil {
		m.listeners = make(map[*mailbox]struct{})
	}
	m.listeners[box] = struct{}{}
}

func (m *Pubsub) remove(box *mailbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, box)
}

func (b *mailbox) put(message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == memoryBacklog {
		b.messages, b.gap = nil, true
	}
	b.messages = append(b.messages, message)
	select {
	case b.filled <- struct{}{}:
	default:
	}
}

func (b *mailbox) take() (messages []string, gap bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, gap = b.messages, b.gap
	b.messages, b.gap = nil, false
	return messages, gap
}
