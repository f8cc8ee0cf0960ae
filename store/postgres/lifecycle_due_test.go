package postgres_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// TestPagingWhileOthersWrite reads page after page while other replicas commit, re-arm and create: what stays due is seen
// exactly once.
func TestPagingWhileOthersWrite(t *testing.T) {
	s, pool := open(t)
	stay, move := newFleet(t, s, 400), newFleet(t, s, 400)
	other := over(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_ = flip(ctx, other, move.ids[g*100:g*100+100], i)
			}
		})
	}
	for range 5 {
		seen := map[uuid.UUID]int{}
		q := lifecycle.DueQuery{Now: epoch.Add(time.Minute), Limit: 37}
		for {
			page, err := s.Due(t.Context(), q)
			must(t, err)
			for _, snapshot := range page {
				seen[snapshot.Workspace.ID]++
			}
			if len(page) < q.Limit {
				break
			}
			q.After = lifecycle.CursorOf(page[len(page)-1])
		}
		for _, id := range stay.ids {
			if seen[id] != 1 {
				t.Fatalf("a workspace that stayed due was seen %d times", seen[id])
			}
		}
	}
	cancel()
	wg.Wait()
}

// flip moves workspaces in and out of what is due.
func flip(ctx context.Context, s *postgres.Store, ids []uuid.UUID, i int) error {
	found, err := s.Load(ctx, ids...)
	if err != nil {
		return err
	}
	var changes []lifecycle.Change
	for k, snapshot := range found {
		changes = append(changes, wakeAt(snapshot, epoch.Add(time.Duration((i+k)%3-1)*time.Hour)))
	}
	_, err = s.Commit(ctx, epoch, changes)
	return err
}

// TestLowWater moves rows below the bound that a store keeps in memory. Its own are seen at once; those of a replica whose
// clock is behind are seen when the whole index is read again.
func TestLowWater(t *testing.T) {
	mine, pool := open(t)
	f := newFleet(t, mine, 2)
	due := func(now time.Time) int {
		page, err := mine.Due(t.Context(), lifecycle.DueQuery{Now: now, Limit: 10})
		must(t, err)
		next, err := mine.NextWake(t.Context(), lifecycle.Shard{})
		must(t, err)
		if len(page) > 0 && !next.Equal(page[0].Workspace.WakeAt) {
			t.Errorf("the next wake is %v, the first due %v", next, page[0].Workspace.WakeAt)
		}
		return len(page)
	}
	put := func(s *postgres.Store, id uuid.UUID, wake time.Time) {
		_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{wakeAt(load(t, s, id)[0], wake)})
		must(t, err)
	}
	put(mine, f.ids[0], time.Time{})
	put(mine, f.ids[1], time.Time{})
	noon := epoch.Add(4 * time.Hour)
	if n := due(noon); n != 0 {
		t.Fatalf("%d due, want none", n)
	}
	put(mine, f.ids[0], epoch)
	if n := due(noon.Add(time.Second)); n != 1 {
		t.Errorf("a wake far in the past, written by this process, is not due: %d", n)
	}
	put(mine, f.ids[0], time.Time{})
	due(noon.Add(2 * time.Second))

	behind := over(t, pool)
	put(behind, f.ids[1], noon.Add(-time.Minute))
	if n := due(noon.Add(3 * time.Second)); n != 1 {
		t.Errorf("a wake of a replica whose clock is a minute behind is not due: %d", n)
	}
	put(behind, f.ids[1], time.Time{})
	due(noon.Add(4 * time.Second))
	put(behind, f.ids[1], epoch)
	if n := due(noon.Add(16 * time.Minute)); n != 1 {
		t.Errorf("a wake of a replica whose clock is hours behind is not found within 15 minutes: %d", n)
	}
}

// TestMarksSurvive leaves the wake of a template's workspaces undone, as a process does that dies after its first
// transaction. The next look of any replica finishes it.
func TestMarksSurvive(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 5)
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
	exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, touched_at) VALUES ($1, false, $2, now() - interval '1 minute')`,
		f.template.ID, epoch)
	stale := load(t, s, f.ids[0])[0]
	page, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 10})
	must(t, err)
	if len(page) != 5 {
		t.Errorf("%d due after an interrupted change of the template, want 5", len(page))
	}
	outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{wakeAt(stale, epoch)})
	must(t, err)
	if outcomes[0] != lifecycle.Conflict {
		t.Error("what was decided before the change can still be committed")
	}
	var marks int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.marks`).Scan(&marks))
	if marks != 0 {
		t.Errorf("%d marks left", marks)
	}
}

// TestActivityStaysInPlace writes activity as the executor does: no index entry is made for it.
func TestActivityStaysInPlace(t *testing.T) {
	_, wide := open(t)
	pool := alone(t, wide)
	s := over(t, pool)
	f := newFleet(t, s, 20)
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	updates := func() (all, moved int) {
		flushCounters(t, pool)
		must(t, pool.QueryRow(t.Context(), `SELECT n_tup_upd, n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables
			WHERE relid = 'dormouse.workspaces'::regclass`).Scan(&all, &moved))
		return all, moved
	}
	all, moved := updates()
	for i := range 5 {
		for _, id := range f.ids {
			e.Activity(id, epoch.Add(time.Duration(i-10)*time.Second))
		}
		must(t, e.FlushActivity(t.Context()))
	}
	allAfter, movedAfter := updates()
	if allAfter-all != 100 || movedAfter-moved > 5 {
		t.Errorf("%d of %d activity writes did not stay in place", movedAfter-moved, allAfter-all)
	}
}
