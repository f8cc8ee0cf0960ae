package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// lock holds the row of a workspace in an open transaction until the test ends or release is called.
func lock(t *testing.T, pool *pgxpool.Pool, id uuid.UUID) (release func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.workspaces WHERE id = $1 FOR UPDATE`, id)
	must(t, err)
	release = func() { _ = tx.Rollback(context.Background()) }
	t.Cleanup(release)
	return release
}

// soon is a context for what must not wait for what the test holds, which it holds for longer. It is far above what a busy
// machine takes.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A row that somebody holds is a conflict of its workspace; the others of the batch are committed, at once.
func TestCommitBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 3)
	release := lock(t, pool, f.ids[1])
	var changes []lifecycle.Change
	for _, snapshot := range load(t, s, f.ids...) {
		changes = append(changes, started(t, snapshot))
	}
	outcomes, err := s.Commit(soon(t), epoch, changes)
	must(t, err)
	for i, o := range outcomes {
		if held := changes[i].Workspace.ID == f.ids[1]; held != (o == lifecycle.Conflict) {
			t.Errorf("change %d: outcome %v, held %v", i, o, held)
		}
	}
	release()
	for i := range changes {
		outcomes, err := s.Commit(soon(t), epoch, changes[i:i+1])
		must(t, err)
		if want := changes[i].Workspace.ID == f.ids[1]; (outcomes[0] == lifecycle.Applied) != want {
			t.Errorf("afterwards change %d: %v", i, outcomes[0])
		}
	}
}

// A change of a template or owner wakes those whose rows are free, at once, and the others when they are, without waking
// everybody again.
func TestPutBesideALockedRow(t *testing.T) {
	for _, what := range []string{"template", "owner", "engine"} {
		t.Run(what, func(t *testing.T) {
			s, pool := open(t)
			f := newFleet(t, s, 5)
			for _, snapshot := range load(t, s, f.ids...) {
				_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{wakeAt(snapshot, time.Time{})})
				must(t, err)
			}
			release := lock(t, pool, f.ids[2])
			later := epoch.Add(time.Hour)
			switch what {
			case "template":
				f.template.Revision, f.template.Name = 1, "renamed"
				must(t, s.PutTemplate(soon(t), later, f.template))
			case "owner":
				f.owner.Name = "bob"
				must(t, s.PutOwner(soon(t), later, f.owner))
			case "engine":
				must(t, s.PutEngine(soon(t), later, lifecycle.Engine{}))
			}
			wantDue(t, s, later, f.ids[0], f.ids[1], f.ids[3], f.ids[4])
			revision := load(t, s, f.ids[0])[0].Workspace.Revision
			age := `UPDATE dormouse.marks SET touched_at = '-infinity'`
			exec(t, pool, age)
			wantDue(t, s, later, f.ids[0], f.ids[1], f.ids[3], f.ids[4]) // still held, and still nobody waits
			release()
			exec(t, pool, age)
			wantDue(t, s, later, f.ids...)
			if now := load(t, s, f.ids[0])[0].Workspace.Revision; now != revision {
				t.Errorf("one that was woken already is at revision %d, after %d", now, revision)
			}
			var marks int
			must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.marks`).Scan(&marks))
			if marks != 0 {
				t.Errorf("%d marks are left", marks)
			}
		})
	}
}

func wantDue(t *testing.T, s *postgres.Store, now time.Time, want ...uuid.UUID) {
	t.Helper()
	page, err := s.Due(soon(t), lifecycle.DueQuery{Now: now, Limit: 100})
	must(t, err)
	got := map[uuid.UUID]bool{}
	for i := range page {
		got[page[i].Workspace.ID] = true
	}
	for _, id := range want {
		if !got[id] {
			t.Errorf("%s is not due", id)
		}
	}
	if len(page) != len(want) {
		t.Errorf("%d are due, want %d", len(page), len(want))
	}
}

// A row that refuses to be woken, because of a constraint of the host, keeps nobody else asleep.
func TestPutBesideARefusedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 40)
	for _, snapshot := range load(t, s, f.ids...) {
		_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{wakeAt(snapshot, time.Time{})})
		must(t, err)
	}
	exec(t, pool, `ALTER TABLE dormouse.workspaces ADD CONSTRAINT host CHECK (id <> '`+f.ids[17].String()+`' OR revision < 3)`)
	later := epoch.Add(time.Hour)
	f.template.Revision, f.template.Name = 1, "renamed"
	must(t, s.PutTemplate(soon(t), later, f.template))
	wantDue(t, s, later, append(f.ids[:17:17], f.ids[18:]...)...)
}

// So it is for the workspaces of an owner, and for one that has a mark of its own because somebody held it.
func TestMarksBesideARefusedRow(t *testing.T) {
	for _, what := range []string{"owner", "workspace"} {
		t.Run(what, func(t *testing.T) {
			s, pool := open(t)
			f := newFleet(t, s, 3)
			exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
			exec(t, pool, `ALTER TABLE dormouse.workspaces ADD CONSTRAINT host CHECK (id <> '`+f.ids[1].String()+`' OR revision < 2)`)
			subject, want := f.owner.ID, []uuid.UUID{f.ids[0], f.ids[2]}
			if what == "workspace" {
				subject, want = f.ids[1], nil
			}
			exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, touched_at) VALUES ($1, $2, $3, now() - interval '1 minute')`,
				subject, what == "owner", epoch)
			wantDue(t, s, epoch, want...)
			if n := count(t, pool, "marks"); n != 0 {
				t.Errorf("%d marks are left", n)
			}
		})
	}
}

// Instants that only the database knows are the ends of the range; a page that has one is read like others.
func TestInfiniteInstants(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 3)
	exec(t, pool, `UPDATE dormouse.workspaces SET hold_until = 'infinity', hold_rules = 1, build_deadline = 'infinity', last_used_at = '-infinity' WHERE id = $1`, f.ids[1])
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = '-infinity' WHERE id = $1`, f.ids[2])
	wantDue(t, s, epoch, f.ids...)
	w := load(t, s, f.ids[1])[0]
	if !w.Workspace.Hold.Until.Equal(store.LastInstant) || !w.Build.Deadline.Equal(store.LastInstant) || !w.Workspace.LastUsedAt.Equal(store.FirstInstant) {
		t.Errorf("hold until %v, deadline %v, last used %v", w.Workspace.Hold.Until, w.Build.Deadline, w.Workspace.LastUsedAt)
	}
	if w := load(t, s, f.ids[2])[0].Workspace; !w.WakeAt.Equal(store.FirstInstant) {
		t.Errorf("wakes at %v", w.WakeAt)
	}
}

// A pooled connection to a server that turned read-only, without any socket being closed, is not used again and again.
func TestServerThatTurnsReadOnly(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	conn, err := pool.Acquire(t.Context())
	must(t, err)
	_, err = conn.Exec(t.Context(), `SET default_transaction_read_only = on`) // this session leads to the old primary
	must(t, err)
	conn.Release()
	if pool.Stat().TotalConns() != 1 {
		t.Fatalf("%d connections", pool.Stat().TotalConns())
	}
	outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{wakeAt(load(t, s, f.ids...)[0], epoch)})
	if err != nil || outcomes[0] != lifecycle.Applied {
		t.Errorf("%v, %v", outcomes, err)
	}
}

// role makes a role and returns a pool that works as it.
func role(t *testing.T, pool *pgxpool.Pool, grants string) (name string, as func(after bool) *pgxpool.Pool) {
	t.Helper()
	name = "host_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	exec(t, pool, `CREATE ROLE `+name+` LOGIN`)
	t.Cleanup(func() {
		_, _ = pool.Exec(context.Background(), `DROP OWNED BY `+name)
		_, _ = pool.Exec(context.Background(), `DROP ROLE `+name)
	})
	exec(t, pool, strings.ReplaceAll(grants, "ROLE", name))
	return name, func(after bool) *pgxpool.Pool {
		cfg := pool.Config()
		if after {
			cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
				_, err := c.Exec(ctx, `SET ROLE `+name)
				return err
			}
		} else {
			cfg.ConnConfig.User = name
		}
		p, err := pgxpool.NewWithConfig(t.Context(), cfg)
		must(t, err)
		t.Cleanup(p.Close)
		return p
	}
}

// A schema that an administrator has made is enough: the right to create one is not needed.
func TestMigrateWithoutTheRightToCreateSchemas(t *testing.T) {
	pool := pgtest.Empty(t)
	_, as := role(t, pool, `CREATE SCHEMA dormouse; GRANT ALL ON SCHEMA dormouse TO ROLE`)
	s := over(t, as(false))
	must(t, s.Migrate(t.Context()))
	newFleet(t, s, 1)
}

// What AfterConnect sets holds for migrations too.
func TestMigrateAsTheRoleOfTheHost(t *testing.T) {
	pool := pgtest.Empty(t)
	name, as := role(t, pool, `CREATE SCHEMA dormouse; GRANT ALL ON SCHEMA dormouse TO ROLE`)
	must(t, over(t, as(true)).Migrate(t.Context()))
	var strangers int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'dormouse' AND tableowner <> $1`, name).Scan(&strangers))
	if strangers != 0 {
		t.Errorf("%d tables belong to somebody else", strangers)
	}
}

// Names of schemas leave room for the names of channels; modes that poolers break are refused.
func TestConfigThatCannotWork(t *testing.T) {
	pool := pgtest.Empty(t)
	if _, err := postgres.New(pool, postgres.Config{Schema: strings.Repeat("s", 55)}); !errors.Is(err, invalid.Err) {
		t.Errorf("a schema of 55 characters: %v", err)
	}
	longest, err := postgres.New(pool, postgres.Config{Schema: strings.Repeat("s", 54)})
	must(t, err)
	must(t, longest.Migrate(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	woken := make(chan struct{}, 10)
	ended := make(chan error)
	go func() { ended <- longest.WatchWakes(ctx, func() { woken <- struct{}{} }) }()
	for range 2 { // one when it listens, one for what is written
		<-woken
		newFleet(t, longest, 1)
	}
	cancel()
	<-ended
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		if _, err := postgres.New(inMode(t, pool, mode), postgres.Config{}); !errors.Is(err, invalid.Err) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// What the planner prefers decides nothing, nor what a host has set for its roles and databases.
func TestConformanceWithOtherSettings(t *testing.T) {
	conform(t, under(t, pgtest.Pool(t), map[string]string{
		"enable_hashjoin": "off", "plan_cache_mode": "force_generic_plan", "jit": "on", "jit_above_cost": "100000",
		"default_transaction_isolation": "serializable", "statement_timeout": "60s", "lock_timeout": "20s", "search_path": "",
		"timezone": "Pacific/Auckland", "datestyle": "SQL, DMY", "intervalstyle": "sql_standard", "standard_conforming_strings": "off",
		"escape_string_warning": "on", "backslash_quote": "off", "bytea_output": "escape", "extra_float_digits": "0", "array_nulls": "off",
		"transform_null_equals": "on", "row_security": "off", "synchronous_commit": "off", "default_transaction_deferrable": "on",
		"idle_in_transaction_session_timeout": "60s", "client_encoding": "LATIN1", "default_table_access_method": "heap", "xmlbinary": "hex",
	}))
}
