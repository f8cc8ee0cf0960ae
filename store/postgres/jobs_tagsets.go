package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// maxTagSets bounds how many tag sets are remembered; beyond it they are all forgotten and read again.
const maxTagSets = 65536

// tagSets remembers which number a tag set has. Numbers are given once, so which set has a number is remembered for ever; which
// number a set has, for a while (see numberLife).
type tagSets struct {
	mu     sync.RWMutex
	number map[queue.TagSet]tagNumber
	set    map[int32]queue.TagSet
}

func (t *tagSets) setOf(n int32) (queue.TagSet, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	set, ok := t.set[n]
	return set, ok
}

// keep remembers a tag set as it was read at a time; of a retired one no number.
func (t *tagSets) keep(n int32, set queue.TagSet, retired bool, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.number == nil || len(t.set) >= maxTagSets {
		t.number, t.set = make(map[queue.TagSet]tagNumber), make(map[int32]queue.TagSet)
	}
	t.set[n] = set
	if !retired {
		t.number[set] = tagNumber{n, at}
	}
}

// numberTags gives jobs the numbers of their tag sets. Sets that have none get one, in a statement of its own: what is
// interned stays, whatever becomes of the job.
func (s *Store) numberTags(ctx context.Context, jobs []jobToQueue) error {
	sets := make([]queue.TagSet, len(jobs))
	for i := range jobs {
		sets[i] = jobs[i].Tags
	}
	numbers, err := s.numbersOf(ctx, sets, true)
	for i := range jobs {
		jobs[i].tagSet = numbers[jobs[i].Tags]
	}
	return err
}

// createTagSetsSQL inserts in order, so that two calls with the same new sets do not wait for each other in a circle.
const createTagSetsSQL = `
	INSERT INTO dormouse.tag_sets (canon)
	SELECT c.canon FROM unnest($1::text[]) AS c (canon)
	WHERE NOT EXISTS (SELECT FROM dormouse.tag_sets t WHERE t.canon = c.canon)
	ORDER BY c.canon
	ON CONFLICT DO NOTHING`

const tagSetsByTextSQL = `SELECT id, canon, retired_at IS NOT NULL FROM dormouse.tag_sets WHERE canon = ANY ($1::text[])`

func (s *Store) numbersOf(ctx context.Context, sets []queue.TagSet, create bool) (map[queue.TagSet]int32, error) {
	numbers := make(map[queue.TagSet]int32)
	var unknown []string
	for _, set := range sets {
		if _, seen := numbers[set]; seen {
			continue
		}
		n, ok := s.tags.numberOf(set)
		if numbers[set] = n; !ok {
			unknown = append(unknown, set.String())
		}
	}
	if len(unknown) == 0 {
		return numbers, nil
	}
	var found []numberedSet
	asked := time.Now()
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		if create {
			b.Queue(batchWaitSQL)
			b.Queue(s.sql(reviveSQL), unknown)
			b.Queue(s.sql(createTagSetsSQL), unknown)
		}
		b.Queue(s.sql(tagSetsByTextSQL), unknown)
		err := s.send(ctx, &b, func(r pgx.BatchResults) (err error) {
			skip(r, b.Len()-1)
			found, err = readTagSets(r.Query())
			return err
		})
		if isHeld(err) {
			return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, errTagsHeld)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("number tag sets: %w", err)
	}
	s.keepTags(found, asked) // and not before they are committed
	for _, f := range found {
		numbers[f.set] = f.n
	}
	maps.DeleteFunc(numbers, func(_ queue.TagSet, n int32) bool { return n == 0 })
	return numbers, nil
}

// errTagsHeld: a transaction that has stored the first job with a tag set does not end. Until then nobody else can store one.
var errTagsHeld = errors.New("a transaction that was left open holds the tag set")

// blame says which change of a batch has the tag set that somebody holds, so that it costs the workspaces that need it.
func (s *Store) blame(ctx context.Context, jobs []jobToQueue, err error) error {
	if !errors.Is(err, errTagsHeld) {
		return err
	}
	for _, j := range jobs {
		if _, alone := s.numbersOf(ctx, []queue.TagSet{j.Tags}, true); errors.Is(alone, errTagsHeld) {
			return &lifecycle.ChangeError{WorkspaceID: uuid.UUID(j.workspace), Err: errTagsHeld}
		}
	}
	return err
}

// numberedSet is a tag set as it is stored.
type numberedSet struct {
	n       int32
	set     queue.TagSet
	retired bool
}

// readTagSets reads tag sets. One that cannot be read is left out.
func readTagSets(rows pgx.Rows, _ error) (found []numberedSet, err error) {
	var f numberedSet
	var canon string
	_, err = pgx.ForEachRow(rows, []any{&f.n, &canon, &f.retired}, func() error {
		if set, err := queue.ParseTagSet(canon); err == nil {
			f.set = set
			found = append(found, f)
		}
		return nil
	})
	return found, err
}

// keepTags remembers tag sets that were asked for at a time, once they are sure to stay.
func (s *Store) keepTags(found []numberedSet, at time.Time) {
	if s.host != nil {
		return
	}
	for _, f := range found {
		s.tags.keep(f.n, f.set, f.retired, at)
	}
}

const tagSetsByNumberSQL = `SELECT id, canon, retired_at IS NOT NULL FROM dormouse.tag_sets WHERE id = ANY ($1::integer[])`

// fillTags sets the tags of jobs that were read with the numbers of their sets.
func (s *Store) fillTags(ctx context.Context, jobs []queue.Job, numbers []int32) error {
	sets, err := s.setsOf(ctx, numbers)
	if err != nil {
		return err
	}
	for i, n := range numbers {
		jobs[i].Tags = sets[n]
	}
	return nil
}

// setsOf returns the tag sets with these numbers; 0 is none.
func (s *Store) setsOf(ctx context.Context, numbers []int32) (map[int32]queue.TagSet, error) {
	sets := make(map[int32]queue.TagSet)
	var unknown []int32
	for i, n := range numbers {
		if n == 0 || i > 0 && n == numbers[i-1] { // no job, or another of the same set, as most are
			continue
		}
		if set, ok := s.tags.setOf(n); ok {
			sets[n] = set
		} else if !slices.Contains(unknown, n) {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) == 0 {
		return sets, nil
	}
	var found []numberedSet
	asked := time.Now()
	err := s.do(ctx, repeatable, func(ctx context.Context) (err error) {
		found, err = readTagSets(s.db.Query(ctx, s.sql(tagSetsByNumberSQL), unknown))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tag sets: %w", err)
	}
	s.keepTags(found, asked)
	for _, f := range found {
		sets[f.n] = f.set
	}
	return sets, nil
}
