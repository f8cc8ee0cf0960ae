package sqlite_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// beforeStatement calls a function before the n-th statement that has the words in it, and no other time; called says whether it came to that.
func (d *faultyDriver) beforeStatement(words string, n int, do func() error) (called func() bool) {
	seen := 0
	d.meanwhile(func(text string) error {
		if strings.HasPrefix(text, "PREPARE") || !strings.Contains(text, words) {
			return nil
		}
		if seen++; seen != n {
			return nil
		}
		return do()
	})
	return func() bool { return seen >= n }
}

// Somebody else puts a template between the reading of it and the writing: the second one is stale.
func TestTemplatePutMeanwhile(t *testing.T) {
	s, d, path := faulty(t)
	other := migrated(t, openFile(t, path))
	tm := lifecycle.Template{ID: uuid.New(), Name: "first"}
	must(t, s.PutTemplate(t.Context(), killEpoch, tm))
	tm.Revision = 1
	called := d.beforeStatement("BEGIN", 1, func() error {
		tm := tm
		tm.Name = "theirs"
		return other.PutTemplate(context.WithoutCancel(t.Context()), killEpoch, tm)
	})
	tm.Name = "ours"
	if err := s.PutTemplate(t.Context(), killEpoch, tm); !errors.Is(err, lifecycle.ErrStaleTemplate) || errors.Is(err, lifecycle.ErrUnavailable) || !called() {
		t.Errorf("error %v, must be that it is stale", err)
	}
	if got, _, err := s.Template(t.Context(), tm.ID); err != nil || got.Name != "theirs" || got.Revision != 2 {
		t.Errorf("%q of revision %d, %v", got.Name, got.Revision, err)
	}
}

// A template that is put between the readings of a workspace and of it has both read again. One that is put each time is an error.
func TestTemplateReadMeanwhile(t *testing.T) {
	_, d, path := faulty(t)
	other := migrated(t, openFile(t, path))
	ids := seed(t, other, 1)
	all, err := other.Load(t.Context(), ids...)
	must(t, err)
	tm := all[0].Template
	put := func() error {
		tm.Name += "x"
		err := other.PutTemplate(context.WithoutCancel(t.Context()), killEpoch, tm)
		tm.Revision++
		return err
	}
	const reading = "active_version_id, edition, rules, policy, state FROM"
	for range 2 { // also what is remembered is of a time
		s := faultyStore(t, d, path)
		called := d.beforeStatement(reading, 1, put)
		found, err := s.Load(t.Context(), ids...)
		must(t, err)
		if len(found) != 1 || !called() {
			t.Fatalf("%d workspaces, want one that is read beside the change", len(found))
		}
		if got := found[0].Template; got.Name != tm.Name || got.Revision != tm.Revision {
			t.Errorf("template %q of revision %d, want %q of %d", got.Name, got.Revision, tm.Name, tm.Revision)
		}
	}
	s := faultyStore(t, d, path)
	d.meanwhile(func(text string) error { // before each reading, of whichever
		if strings.HasPrefix(text, "PREPARE") || !strings.Contains(text, "SELECT") {
			return nil
		}
		return put()
	})
	if found, err := s.Load(t.Context(), ids...); !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "faster") {
		t.Errorf("%d workspaces, error %v", len(found), err)
	}
	d.meanwhile(nil)
	if found, err := s.Load(t.Context(), ids...); err != nil || len(found) != 1 || found[0].Template.Name != tm.Name {
		t.Errorf("afterwards %d workspaces, error %v", len(found), err)
	}
	// A template whose workspaces have gone meanwhile may go, too.
	s = faultyStore(t, d, path)
	d.beforeStatement(reading, 1, func() error {
		for _, table := range []string{"workspaces", "templates"} {
			if _, err := other.DB().ExecContext(context.WithoutCancel(t.Context()), "DELETE FROM dormouse_"+table); err != nil {
				return err
			}
		}
		return nil
	})
	if found, err := s.Load(t.Context(), ids...); err != nil || len(found) != 0 {
		t.Errorf("%d workspaces of no template, error %v", len(found), err)
	}
}

// The reading of a template fails behind the rows of a list: no list without it.
func TestTemplateThatCannotBeRead(t *testing.T) {
	_, d, path := faulty(t)
	ids := seed(t, migrated(t, openFile(t, path)), 2)
	s := faultyStore(t, d, path)
	d.beforeStatement("active_version_id, edition, rules, policy, state FROM", 1, func() error { return errFault })
	for _, n := range []int{0, 2} {
		if found, err := s.Load(t.Context(), ids...); len(found) != n || n == 0 && !errors.Is(err, lifecycle.ErrUnavailable) || n > 0 && err != nil {
			t.Errorf("%d workspaces, want %d: %v", len(found), n, err)
		}
	}
}

// What is due is known meanwhile by another process: a sweep that somebody else has finished has nothing left to do.
func TestSweptMeanwhile(t *testing.T) {
	s, d, path := faulty(t)
	other := migrated(t, openFile(t, path))
	ids := seed(t, other, 3)
	_, err := other.DB().ExecContext(t.Context(), `UPDATE dormouse_templates SET revision = revision + 1, sweep_at = ?`, killEpoch.UnixMicro())
	must(t, err)
	called := d.beforeStatement("BEGIN", 1, func() error {
		_, err := other.NextWake(context.WithoutCancel(t.Context()), lifecycle.Shard{})
		return err
	})
	due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 10})
	must(t, err)
	if len(due) != len(ids) || !called() {
		t.Errorf("%d are due, want %d", len(due), len(ids))
	}
}

// A rollback or a commit that fails leaves nothing open: the connection is given up, and with it what it has begun.
func TestTransactionThatCannotEnd(t *testing.T) {
	for name, fail := range map[string]map[string]error{
		"rollback":          {"INSERT INTO dormouse_owners": errFault, "ROLLBACK": errFault},
		"commit":            {"COMMIT": errFault},
		"rollback of begin": {"UPDATE dormouse_migrations": errFault, "ROLLBACK": errFault},
	} {
		t.Run(name, func(t *testing.T) {
			s, d, path := faulty(t)
			other := migrated(t, openFile(t, path))
			d.meanwhile(func(text string) error {
				for words, err := range fail {
					if !strings.HasPrefix(text, "PREPARE") && strings.Contains(text, words) {
						return err
					}
				}
				return nil
			})
			ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
			if err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[0]}); !errors.Is(err, lifecycle.ErrUnavailable) || !errors.Is(err, errFault) {
				t.Errorf("error %v", err)
			}
			must(t, other.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[1]})) // nobody is in the way
			d.meanwhile(nil)
			must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[2]}))
			if n := owners(t, s, ids); n != 2 {
				t.Errorf("%d owners, want the two that were acknowledged", n)
			}
		})
	}
}

// A commit that another connection's lock keeps waiting is made as soon as it can be; where the transaction is gone, it is made again.
func TestCommitThatWaits(t *testing.T) {
	locked := errors.New("database is locked (5) (SQLITE_BUSY)")
	for name, c := range map[string]struct {
		answers []error
		begun   int
		want    error
	}{
		"waits":     {[]error{locked, locked, locked}, 1, nil},
		"gone":      {[]error{locked, errors.New("cannot commit - no transaction is active")}, 2, nil},
		"otherwise": {[]error{locked, errFault}, 1, errFault},
	} {
		t.Run(name, func(t *testing.T) {
			s, d, _ := faulty(t)
			commits, begun := 0, 0
			d.meanwhile(func(text string) error {
				switch text {
				case "BEGIN":
					begun++
				case "COMMIT":
					if commits++; commits <= len(c.answers) {
						return c.answers[commits-1]
					}
				}
				return nil
			})
			id := uuid.New()
			err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: id})
			sweeps := 0
			if err == nil {
				sweeps = 1 // which is a transaction of its own
			}
			d.meanwhile(nil)
			if !errors.Is(err, c.want) || begun != c.begun+sweeps {
				t.Errorf("error %v after %d transactions, want %v and %d", err, begun-sweeps, c.want, c.begun)
			}
			if n := owners(t, s, []uuid.UUID{id}); (n == 1) != (c.want == nil) {
				t.Errorf("%d owners", n)
			}
		})
	}
}

// Whoever waits for its turn to write, or for a lock, waits no longer than its context, and says so.
func TestWaitingEndsWithTheContext(t *testing.T) {
	s, d, path := faulty(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	d.beforeStatement("INSERT INTO dormouse_owners", 1, func() error {
		go func() { done <- s.PutOwner(ctx, killEpoch, lifecycle.Owner{ID: uuid.New()}) }()
		go func() { done <- s.Migrate(ctx) }()
		cancel()
		for range 2 {
			if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("error %v of who waits", err)
			}
		}
		return nil
	})
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
	d.meanwhile(nil)

	locked := faultyStore(t, d, path)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	d.meanwhile(func(text string) error {
		if !strings.Contains(text, "UPDATE dormouse_migrations") || strings.HasPrefix(text, "PREPARE") {
			return nil
		}
		cancel()
		return errors.New("database is locked")
	})
	if err := locked.PutOwner(ctx, killEpoch, lifecycle.Owner{ID: uuid.New()}); !errors.Is(err, context.Canceled) || errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("error %v of who waits for a lock", err)
	}
}

// A panic of the host within a call leaves nothing behind, and goes on.
func TestPanicWithinATransaction(t *testing.T) {
	s, _, _ := faulty(t) // with one connection
	func() {
		defer func() {
			if p := recover(); p != "of the host" {
				t.Errorf("recovered %v", p)
			}
		}()
		_, _ = s.KeepZones(t.Context(), killEpoch, []string{"UTC", "Europe/Berlin"}, func(name string) int64 {
			if name == "UTC" {
				return 1
			}
			panic("of the host")
		})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, s.PutOwner(ctx, killEpoch, lifecycle.Owner{ID: uuid.New()}))
	if n := rowsOf(t, s.DB(), "dormouse_zones"); n != 0 {
		t.Errorf("%d zones are kept", n)
	}
}

// What cannot be prepared cannot be done; what was prepared for later is not missed.
func TestPreparingFails(t *testing.T) {
	for words, fails := range map[string]bool{
		"UPDATE dormouse_migrations": true, "INSERT INTO dormouse_owners": true, "FROM dormouse_owners WHERE id": true, "dormouse_templates WHERE sweep_at": false,
	} {
		s, d, _ := faulty(t)
		d.meanwhile(func(text string) error {
			if strings.HasPrefix(text, "PREPARE") && strings.Contains(text, words) {
				return errFault
			}
			return nil
		})
		id := uuid.New()
		err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: id})
		if fails != errors.Is(err, errFault) || fails != errors.Is(err, lifecycle.ErrUnavailable) {
			t.Errorf("%s: error %v", words, err)
		}
		_, _, err = s.Owner(t.Context(), id)
		if reads := words == "FROM dormouse_owners WHERE id"; reads != errors.Is(err, errFault) {
			t.Errorf("%s: reading: error %v", words, err)
		}
		d.meanwhile(nil)
		if n := owners(t, s, []uuid.UUID{id}); (n == 0) != fails {
			t.Errorf("%s: %d owners", words, n)
		}
	}
}

// Where the file is cannot be found out: nothing is taken for checked.
func TestFileThatCannotBeFound(t *testing.T) {
	known, d, _ := faulty(t)
	s, err := sqlite.New(known.DB(), sqlite.Config{}) // as one of a process that begins
	must(t, err)
	d.beforeStatement("database_list", 1, func() error { return errFault })
	if _, err := s.Engine(t.Context()); !errors.Is(err, errFault) {
		t.Errorf("error %v", err)
	}
	_, err = s.Engine(t.Context())
	must(t, err)
}

// Pruning ends with its context, and says how much it has deleted until then.
func TestPruningEndsWithTheContext(t *testing.T) {
	s, d, _ := faulty(t)
	jobs, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "a"}, {Type: "a"}})
	must(t, err)
	_, err = s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: []uuid.UUID{jobs[0].ID, jobs[1].ID}})
	must(t, err)
	fillLog(t, s.DB(), jobs[1].ID, 12_000)
	fillLog(t, s.DB(), jobs[0].ID, 12_000)
	ctx, cancel := context.WithCancel(t.Context())
	d.beforeStatement("COMMIT", 2, func() error { cancel(); return nil }) // by then one is gone
	n, err := s.PruneJobs(ctx, killEpoch.Add(time.Hour), 10)
	if n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d are pruned, error %v", n, err)
	}
}

// The numbers of lanes that are remembered have a bound.
func TestRememberedLanesAreBounded(t *testing.T) {
	s := newStore(t)
	const some = sqlite.MaxLanes / 4
	most, last := s.LearnLanes(9*some, some)
	if most != sqlite.MaxLanes || last != some {
		t.Errorf("remembered %d at most and %d in the end, want %d and %d", most, last, sqlite.MaxLanes, some)
	}
}
