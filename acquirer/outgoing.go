package acquirer

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// outgoing collects the messages for other processes until they are sent. What is announced twice is sent once. It has a lock of its
// own, which may be taken under Acquirer.mu.
type outgoing struct {
	mu     sync.Mutex
	lanes  map[queue.Lane]*laneNote
	drops  map[queue.Lane]dispatch.Source // lanes taken
	orgs   map[uuid.UUID]struct{}         // freed
	leases map[queue.Lease]struct{}       // canceled
	pings  bool
	seq    uint64
	filled chan struct{} // room for one
	// said are the organizations of which something was sent in the present pause, and news tells of one that is not among them.
	said map[uuid.UUID]struct{}
	news chan struct{} // room for one
	// paused: the present pause has begun with a message.
	paused bool
}

func newOutgoing() *outgoing {
	o := &outgoing{filled: make(chan struct{}, 1), news: make(chan struct{}, 1), said: make(map[uuid.UUID]struct{})}
	o.reset()
	return o
}

func (o *outgoing) reset() {
	o.lanes, o.drops = make(map[queue.Lane]*laneNote), make(map[queue.Lane]dispatch.Source)
	o.orgs, o.leases = make(map[uuid.UUID]struct{}), make(map[queue.Lease]struct{})
	o.pings = false
}

// put changes the content and sees to its being sent, on behalf of an organization or, with nil, of nobody. It never blocks.
func (o *outgoing) put(id *uuid.UUID, change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
	signal(o.filled)
	if id == nil {
		return
	}
	if _, said := o.said[*id]; !said && len(o.said) < maxSaid {
		signal(o.news)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// newPause forgets who has been heard.
func (o *outgoing) newPause() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.said)
	o.paused = false
}

// quiet reports whether nothing is to be sent, and nothing was in the present pause.
func (o *outgoing) quiet() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.isQuiet()
}

func (o *outgoing) isQuiet() bool {
	return !o.paused && !o.pings && len(o.lanes)+len(o.drops)+len(o.orgs)+len(o.leases) == 0
}

// carry begins a pause with a message about an organization that the store is to send, and returns its number. It reports whether that
// may be: after a quiet time.
func (o *outgoing) carry(id uuid.UUID) (seq uint64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.isQuiet() {
		return 0, false
	}
	o.paused, o.said[id] = true, struct{}{}
	o.seq++
	signal(o.filled)
	return o.seq, true
}

// unsay notes that the store did not send its message: what is to be said of the organization is news.
func (o *outgoing) unsay(id uuid.UUID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.said, id)
}

func (o *outgoing) jobs(l queue.Lane, from int64, n int) {
	o.put(&l.Organization, func() {
		waiting, ok := o.lanes[l]
		if !ok {
			fresh := note(l)
			fresh.From = from
			waiting = &fresh
			o.lanes[l] = waiting
		}
		waiting.From = min(waiting.From, from)
		waiting.Count = min(waiting.Count+n, maxNoted)
	})
}

func (o *outgoing) taken(l queue.Lane, s dispatch.Source) {
	o.put(&l.Organization, func() { o.drops[l] = s })
}
func (o *outgoing) freed(id uuid.UUID) { o.put(&id, func() { o.orgs[id] = struct{}{} }) }

func (o *outgoing) canceled(lease queue.Lease) {
	o.put(nil, func() { o.leases[lease] = struct{}{} })
}
func (o *outgoing) ping() { o.put(nil, func() { o.pings = true }) }

// take empties the content into one message; ok is false if there is nothing to say.
func (o *outgoing) take(process uuid.UUID) (m message, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m = message{Process: process, Ping: o.pings}
	for _, n := range o.lanes {
		m.Jobs = append(m.Jobs, *n)
		o.said[n.Organization] = struct{}{}
	}
	// What waits longest goes first, if it takes several messages.
	slices.SortFunc(m.Jobs, func(a, b laneNote) int {
		return cmp.Or(cmp.Compare(b.lane.Priority, a.lane.Priority), cmp.Compare(a.From, b.From))
	})
	for lane, s := range o.drops {
		n := note(lane)
		n.Process, n.Seq = s.Process, s.Seq
		m.Taken = append(m.Taken, n)
		o.said[n.Organization] = struct{}{}
	}
	for id := range o.orgs {
		m.Freed = append(m.Freed, id)
		o.said[id] = struct{}{}
	}
	for lease := range o.leases {
		m.Cancel = append(m.Cancel, lease)
	}
	if m.parts() == 0 && !m.Ping {
		return message{}, false
	}
	o.seq++
	m.Seq = o.seq
	o.paused = true
	o.reset()
	select {
	case <-o.news: // it is in the message
	default:
	}
	return m, true
}

// putBack takes in again what could not be sent, but for a ping: the next one says as much.
func (o *outgoing) putBack(m message) {
	for _, n := range m.Jobs {
		o.jobs(n.lane, n.From, n.Count)
	}
	for _, n := range m.Taken {
		o.taken(n.lane, dispatch.Source{Process: n.Process, Seq: n.Seq})
	}
	for _, id := range m.Freed {
		o.freed(id)
	}
	for _, lease := range m.Cancel {
		o.canceled(lease)
	}
}

// publishLoop sends what is outgoing: at once after a quiet time, and what comes in within publishPause together at the end of it.
// So nothing waits for a later message, and a flood of postings is a few messages. An organization of which nothing was sent in the
// pause does not wait for the end of it: the pause is for those who flood.
func (a *Acquirer) publishLoop(ctx context.Context) {
	if a.pubsub == nil {
		return
	}
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-a.outgoing.filled:
		}
		if !a.publishOrWarn(ctx) {
			if !a.pause(ctx, growing(failures), "publish") {
				return
			}
			failures++
			continue
		}
		failures = 0
		a.publishNews(ctx)
	}
}

// publishNews waits for the end of a pause, and sends what is news until then.
func (a *Acquirer) publishNews(ctx context.Context) {
	timer := a.clock.NewTimer(publishPause, "publish")
	defer timer.Stop()
	defer a.outgoing.newPause()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-a.outgoing.news:
		}
		if !a.publishOrWarn(ctx) {
			return
		}
	}
}

func (a *Acquirer) publishOrWarn(ctx context.Context) (ok bool) {
	err := a.publish(ctx)
	if err != nil && ctx.Err() == nil {
		a.cfg.Logger.Warn("announcement not sent", "error", err)
	}
	return err == nil
}

// publish sends what is outgoing; what could not be sent is outgoing again afterwards.
func (a *Acquirer) publish(ctx context.Context) error {
	if a.pubsub == nil {
		return nil
	}
	m, ok := a.outgoing.take(a.process())
	if !ok {
		return nil
	}
	for _, text := range m.split() {
		err := a.call(ctx, "publish", func(ctx context.Context) error { return a.pubsub.Publish(ctx, text) })
		a.metrics.published(err)
		if err != nil {
			a.outgoing.putBack(m) // all of it: hearing something twice does no harm
			return err
		}
	}
	return nil
}
