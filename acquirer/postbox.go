package acquirer

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
)

// postbox collects what other processes shall hear until it is sent. What is said twice is sent once.
type postbox struct {
	mu      sync.Mutex
	lanes   map[queue.Lane]*laneNote
	takings map[queue.Lane]source
	freed   map[uuid.UUID]struct{}
	cancel  map[queue.Lease]struct{}
	ping    bool
	seq     uint64
	filled  chan struct{} // room for one
}

func newPostbox() *postbox {
	p := &postbox{filled: make(chan struct{}, 1)}
	p.reset()
	return p
}

func (p *postbox) reset() {
	p.lanes, p.takings = make(map[queue.Lane]*laneNote), make(map[queue.Lane]source)
	p.freed, p.cancel = make(map[uuid.UUID]struct{}), make(map[queue.Lease]struct{})
	p.ping = false
}

// put changes the content and sees to its being sent. It never blocks.
func (p *postbox) put(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	select {
	case p.filled <- struct{}{}:
	default:
	}
}

func (p *postbox) jobs(l queue.Lane, from int64, n int) {
	p.put(func() {
		waiting, ok := p.lanes[l]
		if !ok {
			fresh := note(l)
			fresh.From = from
			waiting = &fresh
			p.lanes[l] = waiting
		}
		waiting.From = min(waiting.From, from)
		waiting.Count += n
	})
}

func (p *postbox) taken(l queue.Lane, s source)   { p.put(func() { p.takings[l] = s }) }
func (p *postbox) free(id uuid.UUID)              { p.put(func() { p.freed[id] = struct{}{} }) }
func (p *postbox) canceled(leases ...queue.Lease) { p.put(func() { p.addCancels(leases) }) }
func (p *postbox) pinged()                        { p.put(func() { p.ping = true }) }
func (p *postbox) addCancels(leases []queue.Lease) {
	for _, lease := range leases {
		p.cancel[lease] = struct{}{}
	}
}

// take empties the box into one message; ok is false if there is nothing to say.
func (p *postbox) take(process uuid.UUID) (m message, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m = message{Process: process, Ping: p.ping}
	for _, n := range p.lanes {
		m.Jobs = append(m.Jobs, *n)
	}
	// What waits longest goes first, if it takes several messages.
	slices.SortFunc(m.Jobs, func(a, b laneNote) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.From, b.From))
	})
	for lane, s := range p.takings {
		n := note(lane)
		n.Process, n.Seq = s.process, s.seq
		m.Taken = append(m.Taken, n)
	}
	for id := range p.freed {
		m.Freed = append(m.Freed, id)
	}
	for lease := range p.cancel {
		m.Cancel = append(m.Cancel, lease)
	}
	if m.parts() == 0 && !m.Ping {
		return message{}, false
	}
	p.seq++
	m.Seq = p.seq
	p.reset()
	return m, true
}

// putBack takes in again what could not be sent.
func (p *postbox) putBack(m message) {
	for _, n := range m.Jobs {
		p.jobs(n.lane(), n.From, n.Count)
	}
	for _, n := range m.Taken {
		p.taken(n.lane(), source{n.Process, n.Seq})
	}
	for _, id := range m.Freed {
		p.free(id)
	}
	if len(m.Cancel) > 0 {
		p.canceled(m.Cancel...)
	}
}

// announceLoop sends what is in the box: at once after a quiet time, and what comes in within
// [Config.Announce] together at the end of it. So nothing waits for a later message, and a flood of postings
// is a few messages.
func (a *Acquirer) announceLoop(ctx, _ context.Context) {
	if a.pubsub == nil {
		return
	}
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.post.filled:
		}
		pause := a.cfg.Announce
		if err := a.flushPosts(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Warn("announcement not sent", "error", err)
			pause = backoff.Doubled(a.cfg.Backoff, failures, a.cfg.BackoffMax)
			failures++
		} else {
			failures = 0
		}
		if !a.pause(ctx, pause, "announce") {
			return
		}
	}
}

// flushPosts sends the content of the box; what could not be sent is back in it afterwards.
func (a *Acquirer) flushPosts(ctx context.Context) error {
	if a.pubsub == nil {
		return nil
	}
	a.mu.Lock()
	process := a.process
	a.mu.Unlock()
	m, ok := a.post.take(process)
	if !ok {
		return nil
	}
	texts := m.split()
	for _, text := range texts {
		err := a.call(ctx, "publish", func(ctx context.Context) error { return a.pubsub.Publish(ctx, text) })
		a.metrics.published(err)
		if err != nil {
			a.post.putBack(m) // all of it: hearing something twice does no harm
			return err
		}
	}
	return nil
}
