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
// can be claimed; each head stands in one heap: of those never tried, by their place in the outbox; of those tried before, by
// when they became claimable again; or of those that wait, by when that is over.
type outbox struct {
	seq     int64
	lines   map[lineKey]*line
	heads   map[int64]*line // by the Seq of the head, of the lines that wait
	fresh   map[lifecycle.Topic]*minHeap[*line]
	tried   map[lifecycle.Topic]*minHeap[*line]
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
	// until is when the head is claimable again.
	until int64
	index int
}

func (l *line) seq() int64  { return l.events[0].Seq }
func (l *line) tried() bool { return l.events[0].Attempt > 0 }

func newOutbox() outbox {
	return outbox{
		lines:   map[lineKey]*line{},
		heads:   map[int64]*line{},
		fresh:   map[lifecycle.Topic]*minHeap[*line]{},
		tried:   map[lifecycle.Topic]*minHeap[*line]{},
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

func byPlace(a, b *line) int { return cmp.Compare(a.seq(), b.seq()) }

func byRetry(a, b *line) int { return cmp.Or(cmp.Compare(a.until, b.until), byPlace(a, b)) }

// heapOf is where a head stands that can be claimed.
func (o *outbox) heapOf(l *line) *minHeap[*line] {
	heaps, order := o.fresh, byPlace
	if l.tried() {
		heaps, order = o.tried, byRetry
	}
	h, ok := heaps[l.key.topic]
	if !ok {
		h = newHeap(func(a, b *line) bool { return order(a, b) < 0 })
		heaps[l.key.topic] = h
	}
	return h
}

func (o *outbox) pushReady(l *line) { heap.Push(o.heapOf(l), l) }

// first are up to limit lines of the topics, in their order.
func first(heaps map[lifecycle.Topic]*minHeap[*line], topics []lifecycle.Topic, order func(a, b *line) int, limit int) (found []*line) {
	for _, t := range topics {
		h, ok := heaps[t]
		if !ok {
			continue
		}
		var some []*line
		for len(some) < limit && h.Len() > 0 {
			some = append(some, heap.Pop(h).(*line))
		}
		for _, l := range some {
			heap.Push(h, l)
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, order)
	return found[:min(len(found), limit)]
}

// last are up to limit lines of the topics with the highest places, the highest first, those behind a line. O(lines).
func last(heaps map[lifecycle.Topic]*minHeap[*line], topics []lifecycle.Topic, behind *line, limit int) (found []*line) {
	for _, t := range topics {
		if h, ok := heaps[t]; ok {
			found = append(found, h.items...)
		}
	}
	found = slices.DeleteFunc(found, func(l *line) bool { return l.seq() <= behind.seq() })
	slices.SortFunc(found, func(a, b *line) int { return byPlace(b, a) })
	return found[:min(len(found), limit)]
}

// claimable are up to limit lines whose heads can be claimed, as [lifecycle.Outbox] shares them out.
func (o *outbox) claimable(topics []lifecycle.Topic, limit int) []*line {
	if limit <= 0 {
		return nil
	}
	oldest := first(o.fresh, topics, byPlace, limit)
	var newest []*line
	if len(oldest) == limit {
		newest = last(o.fresh, topics, oldest[limit-1], limit)
	}
	return store.InTurn(limit, oldest, first(o.tried, topics, byRetry, limit), newest)
}

// revive moves the lines whose lease or pause has ended back.
func (o *outbox) revive(now int64) {
	for o.waiting.Len() > 0 && o.waiting.items[0].until <= now {
		l := heap.Pop(o.waiting).(*line)
		delete(o.heads, l.events[0].Seq)
		o.pushReady(l)
	}
}

func (o *outbox) wait(l *line, until int64) {
	l.until = until
	o.heads[l.events[0].Seq] = l
	heap.Push(o.waiting, l)
}

// settle ends the claim of the line's head.
func (o *outbox) settle(l *line, d lifecycle.Delivery) {
	heap.Remove(o.waiting, l.index)
	delete(o.heads, d.Seq)
	head := &l.events[0]
	if d.Untried && head.Attempt > 0 {
		head.Attempt--
	}
	switch {
	case d.RetryAt.IsZero():
		o.advance(l)
	case d.Untried && !l.tried():
		o.pushReady(l)
	default:
		o.wait(l, micros(d.RetryAt))
	}
}

// ClaimEvents implements [lifecycle.Outbox]. O(limit), and O(lines of the topics) where more than limit can be claimed.
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
	for _, l := range o.claimable(topics, limit) {
		heap.Remove(o.heapOf(l), l.index)
		l.events[0].Attempt++
		o.wait(l, micros(now.Add(lease)))
		e := l.events[0]
		e.Job = cloneJob(e.Job)
		claimed = append(claimed, e)
	}
	slices.SortFunc(claimed, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
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
	if head := l.events[0].Seq; o.heads[head] == l {
		heap.Remove(o.waiting, l.index)
		delete(o.heads, head)
	} else {
		heap.Remove(o.heapOf(l), l.index)
	}
	o.advance(l)
}

// advance goes on to the next event of a line that stands in neither heap.
func (o *outbox) advance(l *line) {
	o.count--
	l.events[0] = lifecycle.Event{}
	if l.events = l.events[1:]; len(l.events) == 0 {
		delete(o.lines, l.key)
		return
	}
	o.pushReady(l)
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
