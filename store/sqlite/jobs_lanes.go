package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// maxLanes bounds how many lanes are remembered; beyond it they are all forgotten and read again.
const maxLanes = 65536

// laneCache keeps the numbers of the lanes that are known to be committed. A number is never given twice, so which lane has a
// number is never wrong; whether a lane still has its number, a transaction has to look up.
type laneCache struct {
	mu      sync.RWMutex
	numbers map[queue.Lane]int64
	lanes   map[int64]queue.Lane
}

func (c *laneCache) number(l queue.Lane) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.numbers[l]
	return n, ok
}

func (c *laneCache) lane(n int64) (queue.Lane, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l, ok := c.lanes[n]
	return l, ok
}

func (c *laneCache) learn(numbers map[queue.Lane]int64) {
	if len(numbers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers == nil || len(c.numbers) >= maxLanes {
		c.numbers, c.lanes = map[queue.Lane]int64{}, map[int64]queue.Lane{}
	}
	maps.Copy(c.numbers, numbers)
	for l, n := range numbers {
		c.lanes[n] = l
	}
}

// findLane returns the number of a lane, 0 if it has none: no job stands in it.
func (t *tx) findLane(l queue.Lane) (int64, error) {
	if n, ok := t.lanes[l]; ok {
		return n, nil
	}
	if n, err := t.remembered(l); n > 0 || err != nil {
		return n, err
	}
	var n int64
	_, err := t.queryRow(`SELECT id FROM {lanes} WHERE organization_id = ? AND type = ? AND tags = ? AND priority = ?`,
		laneKey(l), &n)
	if n > 0 {
		t.note(l, n)
	}
	return n, err
}

// remembered returns the number of a lane that the process remembers, 0 if it does not, or if the lane was deleted since.
func (t *tx) remembered(l queue.Lane) (int64, error) {
	if n, ok := t.current[l]; ok {
		return n, nil
	}
	n, ok := t.s.lanes.number(l)
	if !ok {
		return 0, nil
	}
	there, err := t.queryRow(`SELECT 1 FROM {lanes} WHERE id = ?`, []any{n}, new(int))
	if err != nil || !there {
		return 0, err
	}
	if t.current == nil {
		t.current = map[queue.Lane]int64{}
	}
	t.current[l] = n
	return n, nil
}

func laneKey(l queue.Lane) []any {
	return []any{blob(l.Organization), l.Type, l.Tags.String(), int64(l.Priority)}
}

// makeLane returns the number of a lane, new or not.
func (t *tx) makeLane(l queue.Lane) (int64, error) {
	n, err := t.findLane(l)
	if n > 0 || err != nil {
		return n, err
	}
	if _, err = t.queryRow(`INSERT INTO {lanes} (organization_id, type, tags, priority) VALUES (?, ?, ?, ?) RETURNING id`,
		laneKey(l), &n); err == nil {
		t.note(l, n)
	}
	return n, err
}

func (t *tx) note(l queue.Lane, n int64) {
	if t.lanes == nil {
		t.lanes = map[queue.Lane]int64{}
	}
	t.lanes[l] = n
}

// errUnreadable says that the tags of a lane are a later version's.
var errUnreadable = errors.New("lane cannot be read")

// lane returns the lane of a number.
func (t *tx) lane(n int64) (queue.Lane, error) {
	if l, ok := t.s.lanes.lane(n); ok {
		return l, nil
	}
	for l, made := range t.lanes {
		if made == n {
			return l, nil
		}
	}
	var l queue.Lane
	var organization uuid.UUID
	var tags string
	found, err := t.queryRow(`SELECT organization_id, type, tags, priority FROM {lanes} WHERE id = ?`, []any{n},
		&organization, &l.Type, &tags, &l.Priority)
	if err == nil && !found {
		err = fmt.Errorf("lane %d is not there", n)
	}
	if err != nil {
		return queue.Lane{}, err
	}
	l.Organization = organization
	if l.Tags, err = queue.ParseTagSet(tags); err != nil {
		return l, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	t.note(l, n)
	return l, nil
}
