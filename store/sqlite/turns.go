package sqlite

import (
	"encoding/hex"
	"strconv"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
)

type floorKey struct {
	organization uuid.UUID
	priority     int16
}

type turnKey struct {
	floorKey
	tenant uuid.UUID
}

func keyOf(j *acquirer.Job) turnKey {
	return turnKey{floorKey{j.Organization, j.Priority}, j.Tenant}
}

// turns is the state of fair ordering for the tenants of some jobs. It is read in one statement and written in one, however
// many they are.
type turns struct {
	t      *tx
	floors map[floorKey]int64
	// keys in the order of their first job; last and moved say where each stands and whether it got a job.
	keys  []turnKey
	last  map[turnKey]int64
	moved map[turnKey]bool
}

func (t *tx) turns(jobs []acquirer.Job) (*turns, error) {
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

// Lists of turns are passed as JSON, for which ids are hexadecimal.
const (
	readTurns = `
SELECT k.key, t.last FROM json_each(?) k CROSS JOIN {turns} t
	ON t.organization_id = unhex(k.value ->> 0) AND t.priority = k.value ->> 1 AND t.tenant_id = unhex(k.value ->> 2)`
	saveTurns = `
INSERT INTO {turns} (organization_id, priority, tenant_id, last)
SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2), value ->> 3 FROM json_each(?) WHERE TRUE
ON CONFLICT DO UPDATE SET last = excluded.last`
)

func (s *turns) read() error {
	if len(s.keys) == 0 {
		return nil
	}
	var i, last int64
	return s.t.query(readTurns, func(r rows) error {
		err := r.Scan(&i, &last)
		s.last[s.keys[i]] = last
		return err
	}, s.list(s.keys))
}

// order is the number that a new job would get.
func (s *turns) order(j *acquirer.Job) int64 {
	key := keyOf(j)
	return acquirer.FairOrder(s.last[key], s.floors[key.floorKey], j.Weight)
}

// took notes that a job got its number.
func (s *turns) took(j *acquirer.Job) {
	key := keyOf(j)
	s.last[key], s.moved[key] = j.Order, true
}

func (s *turns) save() error {
	moved := make([]turnKey, 0, len(s.moved))
	for _, key := range s.keys {
		if s.moved[key] {
			moved = append(moved, key)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	_, err := s.t.exec(saveTurns, s.list(moved))
	return err
}

// list is the turns for json_each.
func (s *turns) list(keys []turnKey) string {
	b := make([]byte, 0, 100*len(keys))
	for i, key := range keys {
		b = append(b, ","[:min(i, 1)]...)
		b = append(b, `["`...)
		b = hex.AppendEncode(b, key.organization[:])
		b = append(b, `",`...)
		b = strconv.AppendInt(b, int64(key.priority), 10)
		b = append(b, `,"`...)
		b = hex.AppendEncode(b, key.tenant[:])
		b = append(b, `",`...)
		b = strconv.AppendInt(b, s.last[key], 10)
		b = append(b, ']')
	}
	return "[" + string(b) + "]"
}

// floor is the number claimed last at a priority.
func (t *tx) floor(of floorKey) (claimed int64, err error) {
	_, err = t.queryRow(`SELECT claimed FROM {floors} WHERE organization_id = ? AND priority = ?`,
		[]any{blob(of.organization), int64(of.priority)}, &claimed)
	return claimed, err
}
