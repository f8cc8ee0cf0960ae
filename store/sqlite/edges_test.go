package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// Members that are asked for by many names come once each, in their order, from however many statements.
func TestManyNamedMembers(t *testing.T) {
	s := newStore(t)
	const n = 1003
	ids, resources, changes := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]prewarm.Change, n)
	for i := range changes {
		ids[i], resources[i] = uuid.New(), uuid.New()
		changes[i].Member = prewarm.Member{ID: ids[i], Resource: resources[i], Pool: "a", State: prewarm.Ready, Deadline: killEpoch}
	}
	_, err := s.PutMembers(t.Context(), nil, changes)
	must(t, err)
	for name, q := range map[string]prewarm.Query{
		"ids": {IDs: ids}, "resources": {Resources: resources}, "both": {IDs: ids, Resources: resources},
		"twice": {IDs: slices.Concat(ids, ids)}, "due": {IDs: ids, DueBy: killEpoch}, "limited": {Resources: resources, Limit: 700}, "bounded": {IDs: ids, Limit: n},
	} {
		q.Pool = "a"
		found, err := s.Members(t.Context(), q)
		must(t, err)
		want := n
		if q.Limit > 0 {
			want = q.Limit
		}
		if len(found) != want || !slices.IsSortedFunc(found, func(a, b prewarm.Member) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
			t.Errorf("%s: %d members, want %d, sorted", name, len(found), want)
		}
	}
}

// Workspaces that are asked for twice come once, however far apart the two are.
func TestLoadManyOnce(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 230)
	for _, n := range []int{1, 2, 10, 11, 100, 101, 230} {
		found, err := s.Load(t.Context(), append(slices.Clone(ids[:n]), ids[:n]...)...)
		must(t, err)
		seen := map[uuid.UUID]bool{}
		for i := range found {
			seen[found[i].Workspace.ID] = true
		}
		if len(found) != n || len(seen) != n {
			t.Errorf("%d workspaces, of which %d are different, want %d", len(found), len(seen), n)
		}
	}
}

// A limit that nothing reaches is no limit, and no memory is taken for so many rows.
func TestDueWithoutALimit(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 3)
	write(t, s.DB(), `UPDATE dormouse_workspaces SET wake_at = ?`, killEpoch.UnixMicro())
	due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: math.MaxInt})
	must(t, err)
	if len(due) != len(ids) {
		t.Errorf("%d are due, want %d", len(due), len(ids))
	}
}

// A limit counts builds and workspaces together.
func TestPruneLimitIsOfBoth(t *testing.T) {
	p := newPruned(t)
	ids := seed(t, p.s, 3)
	for i, id := range ids {
		p.exec(`INSERT INTO dormouse_builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
			VALUES (?, 1, randomblob(16), randomblob(16), 1, '', 4, ?)`, id[:], killEpoch.UnixMicro())
		if i > 0 {
			p.exec(`UPDATE dormouse_workspaces SET deleted = 1, build_number = 9, build_id = randomblob(16), build_completed_at = ? WHERE id = ?`, killEpoch.UnixMicro(), id[:])
		}
	}
	for _, c := range []struct{ limit, want, left int }{{3, 3, 3}, {1, 1, 2}, {10, 1, 1}, {10, 0, 1}} {
		n, err := p.s.PruneBuilds(t.Context(), killEpoch.Add(time.Hour), c.limit)
		if left := rowsOf(t, p.db, "dormouse_workspaces"); err != nil || n != c.want || left != c.left {
			t.Errorf("of at most %d %d rows are pruned, and %d workspaces left, want %d and %d; error %v", c.limit, n, left, c.want, c.left, err)
		}
	}
}

// What replaces something reads it first, and does not replace what it could not read.
func TestReadingBeforeReplacing(t *testing.T) {
	s, d, _ := faulty(t)
	tm, o := lifecycle.Template{ID: uuid.New(), Name: "a"}, lifecycle.Owner{ID: uuid.New(), Name: "a"}
	must(t, s.PutTemplate(t.Context(), killEpoch, tm))
	must(t, s.PutOwner(t.Context(), killEpoch, o))
	must(t, s.ChangeTopics(t.Context(), lifecycle.AllTopics, 0))
	_, err := s.KeepZones(t.Context(), killEpoch, []string{"UTC"}, func(string) int64 { return 1 })
	must(t, err)
	before := dump(t, s)
	for reads, do := range map[string]func() error{
		"SELECT state FROM dormouse_engine": func() error { return s.PutEngine(t.Context(), killEpoch, lifecycle.Engine{}) },
		"FROM dormouse_owners WHERE id":     func() error { return s.PutOwner(t.Context(), killEpoch, o) },
		"FROM dormouse_templates WHERE id":  func() error { tm := tm; tm.Revision = 1; return s.PutTemplate(t.Context(), killEpoch, tm) },
		"fingerprint FROM dormouse_zones": func() error {
			_, err := s.KeepZones(t.Context(), killEpoch, []string{"UTC"}, func(string) int64 { return 2 })
			return err
		},
	} {
		d.beforeStatement(reads, 1, func() error { return errFault })
		err := do()
		d.meanwhile(nil)
		if after := dump(t, s); !errors.Is(err, errFault) || after != before {
			t.Errorf("%s: error %v\n%s\nwas\n%s", reads, err, after, before)
		}
	}
	d.beforeStatement("SELECT state FROM dormouse_engine", 1, func() error { return errFault })
	if err := s.ChangeTopics(t.Context(), 0, lifecycle.AllTopics); !errors.Is(err, errFault) {
		t.Errorf("ChangeTopics: %v", err)
	}
}

// A store whose tables cannot be looked at does not take them for missing.
func TestTablesThatCannotBeRead(t *testing.T) {
	for _, words := range []string{"FROM sqlite_schema", "max(min_reader)", "PRAGMA encoding", "PRAGMA journal_mode"} {
		known, d, _ := faulty(t)
		s, err := sqlite.New(known.DB(), sqlite.Config{}) // as one of a process that begins
		must(t, err)
		d.meanwhile(func(text string) error {
			if !strings.HasPrefix(text, "PREPARE") && strings.Contains(text, words) {
				return errFault
			}
			return nil
		})
		_, err = s.Engine(t.Context())
		if !errors.Is(err, errFault) || strings.Contains(err.Error(), "Migrate") {
			t.Errorf("%s: %v", words, err)
		}
		if err := s.Migrate(t.Context()); !errors.Is(err, errFault) {
			t.Errorf("%s: migrating: %v", words, err)
		}
	}
}

// A migration that cannot be made leaves nothing, and can be made when nothing is in its way.
func TestMigrationThatFails(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	write(t, db, `CREATE TABLE dormouse_lanes (mine TEXT)`)
	s, err := sqlite.New(db, sqlite.Config{})
	must(t, err)
	if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "dormouse_lanes") {
		t.Errorf("error %v, want one that names the table", err)
	}
	var tables int
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`).Scan(&tables))
	if tables != 1 {
		t.Errorf("%d tables are there, want the host's", tables)
	}
	write(t, db, `DROP TABLE dormouse_lanes`)
	must(t, s.Migrate(t.Context()))
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
}

// A row that a trigger of the host swallows was not written, and is not said to be.
func TestRowsThatATriggerSwallows(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 2)
	_, err := s.PutMembers(t.Context(), nil, []prewarm.Change{{Member: prewarm.Member{ID: uuid.New(), Pool: "a", State: prewarm.Ready}}})
	must(t, err)
	for _, table := range []string{"members", "workspaces"} {
		write(t, s.DB(), `CREATE TRIGGER swallow_`+table+` BEFORE UPDATE ON dormouse_`+table+` BEGIN SELECT RAISE(IGNORE); END`)
	}
	before := dump(t, s)
	if grants, err := s.ClaimMembers(t.Context(), killEpoch, prewarm.Pick{Pool: "a"}, []prewarm.Claim{{Key: "k"}}); err == nil || !strings.Contains(err.Error(), "was not written") {
		t.Errorf("granted %+v, error %v", grants, err)
	}
	all, err := s.Load(t.Context(), ids...)
	must(t, err)
	c := lifecycle.Change{Revision: all[0].Workspace.Revision, Workspace: all[0].Workspace}
	for i, claims := range []bool{false, true} {
		c.Claims, c.Workspace.Name = claims, fmt.Sprint("name", i)
		if outcomes, err := s.Commit(t.Context(), killEpoch, []lifecycle.Change{c}); err == nil || !strings.Contains(err.Error(), "was not written") {
			t.Errorf("committed with %v, error %v", outcomes, err)
		}
	}
	if after := dump(t, s); after != before {
		t.Errorf("something is written:\n%s\nwas\n%s", after, before)
	}
	write(t, s.DB(), `DROP TRIGGER swallow_workspaces`)
	write(t, s.DB(), `CREATE TRIGGER swallow BEFORE UPDATE OF owner_id ON dormouse_workspaces BEGIN SELECT RAISE(IGNORE); END`)
	if outcomes, err := s.Commit(t.Context(), killEpoch, []lifecycle.Change{c}); err == nil || !strings.Contains(err.Error(), "was not written") {
		t.Errorf("handed over with %v, error %v", outcomes, err)
	}
}

// A trigger of the host may refuse a row: that is the fault of the row, and no other waits for it.
func TestRowsThatATriggerRefuses(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 3)
	write(t, s.DB(), `UPDATE dormouse_workspaces SET wake_at = NULL`)
	write(t, s.DB(), fmt.Sprintf(`CREATE TRIGGER refuse BEFORE UPDATE OF wake_at ON dormouse_workspaces WHEN old.id = x'%x' BEGIN SELECT RAISE(ABORT, 'not this one'); END`, ids[1][:]))
	write(t, s.DB(), `CREATE TRIGGER none BEFORE INSERT ON dormouse_workspaces BEGIN SELECT RAISE(ABORT, 'no more'); END`)
	all, err := s.Load(t.Context(), ids[0])
	must(t, err)
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: all[0].Owner.ID, Name: "b"}))
	due, err := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 10})
	must(t, err)
	if len(due) != 2 {
		t.Errorf("%d are due, want the two that are not refused", len(due))
	}
	w := all[0].Workspace
	w.ID, w.Revision = uuid.New(), 0
	err = s.CreateWorkspaces(t.Context(), killEpoch, w)
	if err == nil || errors.Is(err, lifecycle.ErrUnavailable) || errors.Is(err, invalid.Err) || !strings.Contains(err.Error(), "no more") {
		t.Errorf("error %v of a workspace that is refused", err)
	}
}

// A claim goes through a long line in steps: how long it is does not matter, also where it is of tenants at their limits.
func TestClaimStepsThroughALongLine(t *testing.T) {
	s, d, _ := faulty(t)
	org, hog, other := uuid.New(), uuid.New(), uuid.New()
	postings := make([]queue.Posting, 400, 401)
	for i := range postings {
		postings[i] = queue.Posting{Organization: org, Tenant: hog, Type: "a", Priority: 1}
	}
	jobs, err := s.Enqueue(t.Context(), killEpoch, append(postings, queue.Posting{Organization: org, Tenant: other, Type: "a", Priority: 1}))
	must(t, err)
	process := uuid.New()
	_, err = s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: killEpoch})
	must(t, err)
	claim := func(limits queue.Limits) (queue.Claimed, int) {
		t.Helper()
		statements := 0
		d.meanwhile(func(text string) error {
			if !strings.HasPrefix(text, "PREPARE") && strings.Contains(text, "SELECT") && strings.Contains(text, "tenant_id") {
				statements++
			}
			return nil
		})
		claimed, err := s.Claim(t.Context(), queue.Claim{
			Token: uuid.New(), Process: process, Now: killEpoch, Probes: []queue.Probe{{Lane: jobs[0].Lane()}}, Workers: []uuid.UUID{uuid.New()}, Limits: limits,
		})
		d.meanwhile(nil)
		must(t, err)
		return claimed, statements
	}
	for range 2 { // one of each tenant: they take turns
		claimed, statements := claim(queue.Limits{})
		if len(claimed.Jobs) != 1 || claimed.Limited || statements > 3 {
			t.Errorf("%d jobs, limited %t, in %d statements", len(claimed.Jobs), claimed.Limited, statements)
		}
	}
	claimed, statements := claim(queue.Limits{PerTenant: 1})
	if len(claimed.Jobs) != 0 || !claimed.Limited || statements > 6 {
		t.Errorf("%d jobs, limited %t, in %d statements", len(claimed.Jobs), claimed.Limited, statements)
	}
}

// A claim of events whose database fails all the time ends.
func TestClaimOfEventsFails(t *testing.T) {
	s, d, path := faulty(t)
	other := migrated(t, openFile(t, path))
	id := uuid.New()
	for n := range 20 {
		e := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: killEpoch, OwnerID: id}
		must(t, other.Recording(e).PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: id, Name: fmt.Sprint(n)}))
	}
	for _, words := range []string{"RECURSIVE lines", "SELECT EXISTS", "events_tried"} {
		d.meanwhile(func(text string) error {
			if !strings.HasPrefix(text, "PREPARE") && strings.Contains(text, words) {
				return errFault
			}
			return nil
		})
		if seqs, err := s.Claimable(t.Context(), killEpoch, []lifecycle.Topic{lifecycle.TopicAudit}, 5, 1); !errors.Is(err, errFault) {
			t.Errorf("%s: %v, error %v", words, seqs, err)
		}
	}
}

// A database in memory is its connection: nothing that goes wrong gives it up.
func TestDatabaseInMemory(t *testing.T) {
	db, err := sqlite.Open("sqlite", ":memory:")
	must(t, err)
	db.SetMaxOpenConns(1)
	s, err := sqlite.New(db, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, s.Migrate(t.Context()))
	ids := []uuid.UUID{uuid.New(), uuid.New()}
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[0]}))
	write(t, db, `PRAGMA query_only = ON`)
	if err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[1]}); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("error %v of a database that cannot be written", err)
	}
	write(t, db, `PRAGMA query_only = OFF`)
	if n := owners(t, s, ids); n != 1 {
		t.Errorf("%d owners are left, want the one", n)
	}
	must(t, db.Close())
	if err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[1]}); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("error %v of a database that is closed", err)
	}
	if _, _, err := s.Owner(t.Context(), ids[0]); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("error %v of a database that is closed", err)
	}
}

// Within a transaction of the host, a call that fails has no effect, and the transaction goes on.
func TestFaultsWithinTheHostsTransaction(t *testing.T) {
	s, d, path := faulty(t)
	other := migrated(t, openFile(t, path))
	ids := seed(t, other, 1)
	all, err := other.Load(t.Context(), ids...)
	must(t, err)
	before := dump(t, other)
	for n := 1; ; n++ {
		tx, err := s.DB().BeginTx(t.Context(), nil)
		must(t, err)
		within := s.WithTx(tx)
		ended := d.fail(n)
		jobs, failed := within.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "a"}, {Type: "b"}})
		hit := ended()
		if hit && failed == nil {
			t.Errorf("fault %d: enqueued %v", n, jobs)
		}
		w := all[0].Workspace
		w.ID = uuid.New()
		must(t, within.CreateWorkspaces(t.Context(), killEpoch, w))
		if _, err := tx.ExecContext(t.Context(), `RELEASE dormouse`); err == nil || !strings.Contains(err.Error(), "no such savepoint") {
			t.Errorf("fault %d: a savepoint is left: %v", n, err)
		}
		if !hit {
			must(t, failed)
			must(t, tx.Rollback())
			break
		}
		if n := jobsWithin(t, tx); n != 0 {
			t.Errorf("%d jobs of a call that failed", n)
		}
		must(t, tx.Rollback())
	}
	if after := dump(t, other); after != before {
		t.Errorf("%s\nwas\n%s", after, before)
	}
}

// jobsWithin counts the jobs that a transaction sees.
func jobsWithin(t *testing.T, tx *sql.Tx) (n int) {
	t.Helper()
	must(t, tx.QueryRowContext(t.Context(), `SELECT count(*) FROM dormouse_jobs`).Scan(&n))
	return n
}
