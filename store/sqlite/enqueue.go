package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
)

// Enqueue implements [acquirer.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []acquirer.Posting) (jobs []acquirer.Job, err error) {
	if len(postings) == 0 {
		return nil, ctx.Err()
	}
	made := make([]acquirer.Job, len(postings))
	for i := range postings {
		if made[i], err = postings[i].Job(now); err != nil {
			return nil, err
		}
	}
	err = s.write(ctx, func(t *tx) error {
		jobs, err = t.insertJobs(now, made)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "enqueue %d jobs", len(postings))
	}
	return jobs, nil
}

// insertJobs stores jobs at the end of their tenants' lines, and returns them as stored: one whose id is known is not
// touched.
func (t *tx) insertJobs(now time.Time, jobs []acquirer.Job) ([]acquirer.Job, error) {
	turns := turns{t: t, floors: map[floorKey]int64{}, last: map[turnKey]int64{}}
	for i := range jobs {
		j := &jobs[i]
		order, err := turns.order(j)
		if err != nil {
			return nil, err
		}
		inserted, err := t.insertJob(now, j, order)
		switch {
		case err != nil:
			return nil, err
		case inserted:
			j.Order = order
			turns.took(j)
		default:
			if *j, _, err = t.job(j.ID); err != nil {
				return nil, err
			}
		}
	}
	return jobs, turns.save()
}

func (t *tx) insertJob(now time.Time, j *acquirer.Job, order int64) (inserted bool, err error) {
	lane, err := t.makeLane(j.Lane())
	if err != nil {
		return false, err
	}
	n, err := t.exec(`
		INSERT INTO {jobs} (id, state, organization_id, lane, line, tenant_id, weight, payload, trace, created_at, ready_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		blob(j.ID), pendingState(j.ReadyAt, now), blob(j.Organization), lane, order, blob(j.Tenant), int64(j.Weight),
		nullable(j.Payload), j.Trace, micros(j.CreatedAt), micros(j.ReadyAt))
	return n == 1, err
}

func pendingState(readyAt, now time.Time) int64 {
	if readyAt.After(now) {
		return stateDelayed
	}
	return stateReady
}

type floorKey struct {
	organization uuid.UUID
	priority     int16
}

type turnKey struct {
	floorKey
	tenant uuid.UUID
}

// turns is the state of fair ordering as far as a transaction has read it. It is written once for each tenant, however
// many jobs a tenant gets.
type turns struct {
	t      *tx
	floors map[floorKey]int64
	last   map[turnKey]int64
	moved  []turnKey
}

func keyOf(j *acquirer.Job) turnKey {
	return turnKey{floorKey{j.Organization, j.Priority}, j.Tenant}
}

// order is the number that a new job would get.
func (s *turns) order(j *acquirer.Job) (int64, error) {
	key := keyOf(j)
	floor, ok := s.floors[key.floorKey]
	if !ok {
		var err error
		if floor, err = s.t.floor(key.floorKey); err != nil {
			return 0, err
		}
		s.floors[key.floorKey] = floor
	}
	last, ok := s.last[key]
	if !ok {
		if _, err := s.t.queryRow(`SELECT last FROM {turns} WHERE organization_id = ? AND priority = ? AND tenant_id = ?`,
			[]any{blob(key.organization), int64(key.priority), blob(key.tenant)}, &last); err != nil {
			return 0, err
		}
		// That it was read is remembered, and that it has not moved.
		s.last[key] = last
	}
	return acquirer.FairOrder(last, floor, j.Weight), nil
}

// took notes that a job got its number.
func (s *turns) took(j *acquirer.Job) {
	key := keyOf(j)
	s.last[key] = j.Order
	s.moved = append(s.moved, key)
}

func (s *turns) save() error {
	saved := make(map[turnKey]bool, len(s.moved))
	for _, key := range s.moved {
		if saved[key] {
			continue
		}
		saved[key] = true
		if _, err := s.t.exec(`
			INSERT INTO {turns} (organization_id, priority, tenant_id, last) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET last = excluded.last`,
			blob(key.organization), int64(key.priority), blob(key.tenant), s.last[key]); err != nil {
			return err
		}
	}
	return nil
}

// floor is the number claimed last at a priority.
func (t *tx) floor(of floorKey) (claimed int64, err error) {
	_, err = t.queryRow(`SELECT claimed FROM {floors} WHERE organization_id = ? AND priority = ?`,
		[]any{blob(of.organization), int64(of.priority)}, &claimed)
	return claimed, err
}
