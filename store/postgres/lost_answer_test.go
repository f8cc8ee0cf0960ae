package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A commit whose answer was lost is recognized by what it wrote, and by all of it: what somebody else has written instead is a conflict.
func TestWhatALostCommitWrote(t *testing.T) {
	pool := pgtest.Pool(t)
	plain := over(t, pool)
	fails, write := false, func() {}
	s, err := postgres.Faulty(pool, quiet, func() error {
		if !fails {
			return nil
		}
		fails = false
		write()
		return &pgconn.PgError{Code: "57P01", Message: "shutdown"}
	})
	must(t, err)
	f := newFleet(t, s, 1)
	autostart, err := schedule.Weekly("30 9 * * 1-5")
	must(t, err)
	for what, change := range map[string]func(*lifecycle.Change){
		"the same":   func(*lifecycle.Change) {},
		"wake":       func(c *lifecycle.Change) { c.Workspace.WakeAt = c.Workspace.WakeAt.Add(time.Second) },
		"autostart":  func(c *lifecycle.Change) { c.Workspace.Autostart = autostart },
		"ttl":        func(c *lifecycle.Change) { c.Workspace.TTL += time.Hour },
		"last used":  func(c *lifecycle.Change) { c.Workspace.LastUsedAt = epoch.Add(time.Second) },
		"dormant":    func(c *lifecycle.Change) { c.Workspace.DormantAt = epoch },
		"deleting":   func(c *lifecycle.Change) { c.Workspace.DeletingAt = epoch },
		"hold":       func(c *lifecycle.Change) { c.Workspace.Hold.Until, c.Workspace.Hold.Rules = epoch, 1 },
		"hold note":  func(c *lifecycle.Change) { c.Workspace.Hold.Note = "note" },
		"floor":      func(c *lifecycle.Change) { c.Workspace.Floors.Delete = epoch },
		"reminded":   func(c *lifecycle.Change) { c.Workspace.RemindedFor = epoch },
		"updates":    func(c *lifecycle.Change) { c.Workspace.AutomaticUpdates = !c.Workspace.AutomaticUpdates },
		"failures":   func(c *lifecycle.Change) { c.Workspace.Failures++ },
		"attention":  func(c *lifecycle.Change) { c.Workspace.AttentionAt = epoch },
		"backoff":    func(c *lifecycle.Change) { c.Workspace.Backoff.Message = "busy" },
		"deleted":    func(c *lifecycle.Change) { c.Workspace.Deleted = true },
		"seen rules": func(c *lifecycle.Change) { c.Workspace.Seen.Template++ },
	} {
		t.Run(what, func(t *testing.T) {
			id := uuid.New()
			must(t, plain.CreateWorkspaces(t.Context(), epoch, lifecycle.Workspace{
				ID: id, OrganizationID: f.template.OrganizationID, OwnerID: f.owner.ID, TemplateID: f.template.ID, Name: id.String(), CreatedAt: epoch,
			}))
			mine := wakeAt(load(t, plain, id)[0], epoch.Add(time.Hour))
			theirs := mine
			change(&theirs)
			write = func() {
				outcomes, err := plain.Commit(t.Context(), epoch, []lifecycle.Change{theirs})
				must(t, err)
				if outcomes[0] != lifecycle.Applied {
					t.Fatalf("outcome %v", outcomes)
				}
			}
			want := lifecycle.Conflict
			if what == "the same" {
				want = lifecycle.Applied
			}
			fails = true
			outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{mine})
			must(t, err)
			if outcomes[0] != want {
				t.Errorf("outcome %v, want %v", outcomes[0], want)
			}
			again := wakeAt(load(t, plain, id)[0], mine.Workspace.WakeAt)
			write = func() { // two revisions further, it may look the same
				for range 2 {
					c := wakeAt(load(t, plain, id)[0], mine.Workspace.WakeAt)
					if _, err := plain.Commit(t.Context(), epoch, []lifecycle.Change{c}); err != nil {
						t.Fatal(err)
					}
				}
			}
			fails = true
			outcomes, err = s.Commit(t.Context(), epoch, []lifecycle.Change{again})
			must(t, err)
			if outcomes[0] != lifecycle.Conflict {
				t.Errorf("two revisions further: %v", outcomes[0])
			}
		})
	}
}

// A commit that is made again after a lost answer waits for the workspace, and for nothing else: not for a tenant's number.
func TestCommitAfterALostAnswerBesideALockedTurn(t *testing.T) {
	pool := pgtest.Pool(t)
	fails := false
	s, err := postgres.Faulty(pool, quiet, func() error {
		if !fails {
			return nil
		}
		fails = false
		return &pgconn.PgError{Code: "57P01", Message: "shutdown"}
	})
	must(t, err)
	all := load(t, s, newFleet(t, s, 2).ids...)
	_, err = s.Commit(t.Context(), epoch, []lifecycle.Change{started(t, all[0])})
	must(t, err)
	defer holds(t, pool, `SELECT FROM dormouse.turns FOR UPDATE`)()
	fails = true
	outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{started(t, all[1])})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("outcome %v", outcomes[0])
	}
}

// A change is made though its workspaces cannot be woken for as long as the database fails; who asks what is due hears of that failure,
// and wakes them when it is over.
func TestWorkspacesAreWokenWhenTheFailureIsOver(t *testing.T) {
	for _, code := range []string{"58030", "53300", "57P01"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			broken := &pgconn.PgError{Code: code, Message: "broken"}
			asked, from := 0, 0
			s, err := postgres.Faulty(pool, quiet, func() error {
				if asked++; from > 0 && asked >= from {
					return broken
				}
				return nil
			})
			must(t, err)
			f := newFleet(t, s, 3)
			exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
			later := epoch.Add(time.Hour)
			put := func(n int) (written bool) {
				asked, from = 0, n
				f.owner.Name = "name " + uuid.NewString()
				err := s.PutOwner(t.Context(), later, f.owner)
				from = 0
				o, _, readErr := s.Owner(t.Context(), f.owner.ID)
				must(t, readErr)
				if written = o.Name == f.owner.Name; written != (err == nil) {
					t.Errorf("failing from %d on: %v, and it is written: %v", n, err, written)
				}
				return written
			}
			n := 1
			for !put(n) {
				n++
			}
			if due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: later, Limit: 10}); err != nil || len(due) != 0 {
				t.Errorf("%d are due, and %v: the mark is young", len(due), err)
			}
			exec(t, pool, `UPDATE dormouse.marks SET touched_at = '-infinity'`)
			for n := 1; ; n++ {
				asked, from = 0, n
				due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: later, Limit: 10})
				failed := asked >= from
				from = 0
				var pg *pgconn.PgError
				if !failed {
					must(t, err)
					if len(due) != len(f.ids) {
						t.Errorf("%d are due", len(due))
					}
					break
				}
				if !errors.As(err, &pg) || pg.Code != code {
					t.Errorf("failing from %d on: %v", n, err)
				}
				exec(t, pool, `UPDATE dormouse.marks SET touched_at = '-infinity'`)
			}
			if n := count(t, pool, "marks"); n != 0 {
				t.Errorf("%d marks are left", n)
			}
		})
	}
}

// Where it cannot be read what a commit has written whose answer was lost, that is an error, and no conflict.
func TestALostCommitThatCannotBeRead(t *testing.T) {
	pool := pgtest.Pool(t)
	plain := over(t, pool)
	asked, broken, write := 0, 0, func() {}
	s, err := postgres.Faulty(pool, quiet, func() error {
		switch asked++; {
		case broken > 0 && asked == 1:
			write()
			return &pgconn.PgError{Code: "57P01", Message: "shutdown"}
		case broken > 0 && asked == broken:
			return &pgconn.PgError{Code: "58030", Message: "broken"}
		}
		return nil
	})
	must(t, err)
	id := newFleet(t, s, 1).ids[0]
	mine := wakeAt(load(t, s, id)[0], epoch)
	write = func() {
		_, err := plain.Commit(t.Context(), epoch, []lifecycle.Change{mine})
		must(t, err)
	}
	for broken = 2; ; broken++ {
		mine = wakeAt(load(t, plain, id)[0], epoch)
		asked = 0
		outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{mine})
		if asked < broken {
			must(t, err)
			if outcomes[0] != lifecycle.Applied || broken < 4 {
				t.Errorf("outcome %v after %d questions", outcomes[0], asked)
			}
			break
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "58030" {
			t.Errorf("failing at %d: %v, %v", broken, outcomes, err)
		}
	}
}

// A tick behind another one is one statement.
func TestATickAsksOnce(t *testing.T) {
	asked := 0
	s, err := postgres.Faulty(pgtest.Pool(t), quiet, func() error { asked++; return nil })
	must(t, err)
	for i := range 3 {
		asked = 0
		until, err := s.Ticked(t.Context(), epoch.Add(time.Duration(i)*time.Minute), time.Minute, time.Hour)
		must(t, err)
		if !until.IsZero() {
			t.Errorf("tick %d settles until %v", i, until)
		}
	}
	if asked != 4 { // it, what is set for it, and both answers
		t.Errorf("%d things are asked", asked)
	}
}

// Whoever asks what is due, and on the way finds marks that others have left, gets the workspaces or an error, wherever something fails once.
func TestDueWhileMarksCannotBeWorkedOff(t *testing.T) {
	pool := pgtest.Pool(t)
	f := &fault{}
	s, err := postgres.Faulty(pool, quiet, f.next)
	must(t, err)
	fleet := newFleet(t, s, 3)
	for n := 1; ; n++ {
		exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
		exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, touched_at) VALUES ($1, true, $2, '-infinity')
			ON CONFLICT (subject) DO UPDATE SET touched_at = excluded.touched_at`, fleet.owner.ID, epoch)
		ended := f.fail(n)
		due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 10})
		hit := ended()
		if err == nil && len(due) != len(fleet.ids) {
			t.Errorf("fault %d: %d are due, and no error", n, len(due))
		}
		if !hit {
			must(t, err)
			break
		}
	}
}
