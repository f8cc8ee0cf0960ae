package sqlite

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

type floorKey struct {
	organization uuid.UUID
	priority     int16
}

type turnKey struct {
	floorKey
	tenant uuid.UUID
}

func keyOf(j *queue.Job) turnKey {
	return turnKey{floorKey{j.Organization, j.Priority}, j.Tenant}
}

// turns is the state of fair ordering for the tenants of some jobs, read and written for all of them together.
type turns struct {
	t      *tx
	floors map[floorKey]int64
	// keys in the order of their first job; last and moved say where each stands and whether it got a job.
	keys  []turnKey
	last  map[turnKey]int64
	moved map[turnKey]bool
}

func (t *tx) turns(jobs []queue.Job) (*turns, error) {
	s := &turns{t: t, floors: map[floorKey]int64{}, last: make(map[turnKey]int64, len(jobs)), moved: map[turnKey]bool{}}
	for i := range jobs {
		key := keyOf(&jobs[i])
		if _, ok := s.last[key]; !ok {
			s.last[key] = 0
			s.keys = append(s.keys, key)
		}
	}
	for _, key := range s.keys {
		if _, ok := s.floors[key.floorKey]; ok {
			continue
		}
		var err error
		if s.floors[key.floorKey], err = t.floor(key.floorKey); err != nil {
			return nil, err
		}
	}
	return s, s.read()
}

var (
	readTurns = newMany(`
WITH k(i, organization_id, priority, tenant_id) AS (VALUES %s)
SELECT k.i, t.last FROM k CROSS JOIN {turns} t
	ON t.organization_id = k.organization_id AND t.priority = k.priority AND t.tenant_id = k.tenant_id`, 4)
	saveTurns = newMany(`
INSERT INTO {turns} (organization_id, priority, tenant_id, last) VALUES %s
ON CONFLICT DO UPDATE SET last = excluded.last`, 4)
)

func (s *turns) read() error {
	var i, last int64
	return readTurns.each(len(s.keys), func(statement string, from, to int) error {
		args := make([]any, 0, 4*(to-from))
		for i := from; i < to; i++ {
			key := &s.keys[i]
			args = append(args, int64(i), blob(key.organization), int64(key.priority), blob(key.tenant))
		}
		return s.t.query(statement, func(r rows) error {
			err := r.Scan(&i, &last)
			s.last[s.keys[i]] = last
			return err
		}, args...)
	})
}

// order is the number that a new job would get.
func (s *turns) order(j *queue.Job) int64 {
	key := keyOf(j)
	return queue.FairOrder(s.last[key], s.floors[key.floorKey], j.Weight)
}

// took notes that a job got its number.
func (s *turns) took(j *queue.Job) {
	key := keyOf(j)
	s.last[key], s.moved[key] = j.Order, true
}

func (s *turns) clone() turns {
	c := *s
	c.last, c.moved = maps.Clone(s.last), maps.Clone(s.moved)
	return c
}

func (s *turns) save() error {
	moved := slices.DeleteFunc(s.keys, func(key turnKey) bool { return !s.moved[key] })
	return saveTurns.each(len(moved), func(statement string, from, to int) error {
		args := make([]any, 0, 4*(to-from))
		for _, key := range moved[from:to] {
			args = append(args, blob(key.organization), int64(key.priority), blob(key.tenant), s.last[key])
		}
		_, err := s.t.exec(statement, args...)
		return err
	})
}

// floor is the number claimed last at a priority.
func (t *tx) floor(of floorKey) (claimed int64, err error) {
	_, err = t.queryRow(`SELECT claimed FROM {floors} WHERE organization_id = ? AND priority = ?`,
		[]any{blob(of.organization), int64(of.priority)}, &claimed)
	return claimed, err
}
