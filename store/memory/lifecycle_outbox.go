package memory

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// outbox keeps events until they are delivered. The events of one subject and topic form a line of which only the head
// can be claimed; the heads stand in one of two heaps, by their place in the outbox or by when they are claimable again.
type outbox struct {
	seq     int64
	lines   map[lineKey]*line
	heads   map[int64]*line // by the Seq of the head
	ready   map[lifecycle.Topic]*minHeap[*line]
	waiting *minHeap[*line]
	count   int
}

type lineKey struct {
	subject uuid.UUID
	topic   lifecycle.Topic
}

// line is the events of one subject and topic, oldest first; it is never empty.
type line struct {
	key    lineKey
	events []lifecycle.Event
	// waits says that the head is leased, or waits for its retry, and until when it is claimable again.
	waits bool
	until int64
	index int
}

func newOutbox() outbox {
	return outbox{
		lines:   map[lineKey]*line{},
		heads:   map[int64]*line{},
		ready:   map[lifecycle.Topic]*minHeap[*line]{},
		waiting: newHeap(func(a, b *line) bool { return a.until < b.until }),
	}
}

func (o *outbox) size() int { return o.count }

func (o *outbox) add(e lifecycle.Event) {
	o.seq++
	o.count++
	e.Seq, e.Attempt = o.seq, 0
	e.At, e.DueAt, e.Until = store.Instant(e.At), store.Instant(e.DueAt), store.Instant(e.Until)
	e.Job = cloneJob(e.Job)
	key := lineKey{e.Subject(), e.Topic}
	if l, ok := o.lines[key]; ok {
		l.events = append(l.events, e)
		return
	}
	l := &line{key: key, events: []lifecycle.Event{e}}
	o.lines[key] = l
	o.pushReady(l)
}

func (o *outbox) readyOf(t lifecycle.Topic) *minHeap[*line] {
	h, ok := o.ready[t]
	if !ok {
		h = newHeap(func(a, b *line) bool { return a.events[0].Seq < b.events[0].Seq })
		o.ready[t] = h
	}
	return h
}

func (o *outbox) pushReady(l *line) {
	l.waits = false
	o.heads[l.events[0].Seq] = l
	heap.Push(o.readyOf(l.key.topic), l)
}

// next returns the ready line with the earliest head among the topics, nil if there is none.
func (o *outbox) next(topics []lifecycle.Topic) *line {
	var best *line
	for _, t := range topics {
		if h := o.readyOf(t); h.Len() > 0 {
			if l := h.items[0]; best == nil || cmp.Less(l.events[0].Seq, best.events[0].Seq) {
				best = l
			}
		}
	}
	return best
}

// revive moves the lines whose lease or pause has ended back.
func (o *outbox) revive(now int64) {
	for o.waiting.Len() > 0 && o.waiting.items[0].until <= now {
		o.pushReady(heap.Pop(o.waiting).(*line))
	}
}

func (o *outbox) wait(l *line, until int64) {
	l.waits, l.until = true, until
	o.heads[l.events[0].Seq] = l
	heap.Push(o.waiting, l)
}

// settle ends the claim of the line's head, which may have outlived its lease.
func (o *outbox) settle(l *line, d lifecycle.Delivery) {
	if d.RetryAt.IsZero() {
		o.drop(l)
		return
	}
	o.leave(l)
	o.wait(l, micros(d.RetryAt))
}

// ClaimEvents implements [lifecycle.Outbox].
func (s *Store) ClaimEvents(
	ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int,
) ([]lifecycle.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.outbox
	o.revive(micros(now))
	var claimed []lifecycle.Event
	for len(claimed) < limit {
		l := o.next(topics)
		if l == nil {
			break
		}
		heap.Pop(o.readyOf(l.key.topic))
		l.events[0].Attempt++
		o.wait(l, micros(now.Add(lease)))
		e := l.events[0]
		e.Job = cloneJob(e.Job)
		claimed = append(claimed, e)
	}
	return claimed, nil
}

// SettleEvents implements [lifecycle.Outbox].
func (s *Store) SettleEvents(ctx context.Context, _ time.Time, deliveries []lifecycle.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deliveries {
		if l, ok := s.outbox.heads[d.Seq]; ok {
			s.outbox.settle(l, d)
		}
	}
	return nil
}

// PruneEvents implements [lifecycle.Outbox]. O(limit + workspaces with events).
func (s *Store) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) ([]lifecycle.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var old []lifecycle.Event
	for key, l := range s.outbox.lines {
		if !slices.Contains(topics, key.topic) {
			continue
		}
		for len(l.events) > 0 && l.events[0].At.Before(before) && len(old) < limit {
			old = append(old, l.events[0])
			s.outbox.drop(l)
		}
		if len(old) == limit {
			break
		}
	}
	slices.SortFunc(old, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return old, nil
}

// drop removes the head of a line, whether it waits or is ready; the next one is ready.
func (o *outbox) drop(l *line) {
	o.leave(l)
	o.count--
	delete(o.heads, l.events[0].Seq)
	l.events[0] = lifecycle.Event{}
	if l.events = l.events[1:]; len(l.events) == 0 {
		delete(o.lines, l.key)
		return
	}
	o.pushReady(l)
}

// leave takes a line out of the heap in which it stands.
func (o *outbox) leave(l *line) {
	if l.waits {
		heap.Remove(o.waiting, l.index)
	} else {
		heap.Remove(o.readyOf(l.key.topic), l.index)
	}
}

func (l *line) setPlace(i int) { l.index = i }

func cloneJob(j *lifecycle.Job) *lifecycle.Job {
	if j == nil {
		return nil
	}
	c := *j
	c.Tags, c.Payload = maps.Clone(j.Tags), slices.Clone(j.Payload)
	return &c
}
