package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// under returns a pool to the same database whose sessions have these settings, as those of a role or a database have.
func under(t *testing.T, pool *pgxpool.Pool, settings map[string]string) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	for name, value := range settings {
		cfg.ConnConfig.RuntimeParams[name] = value
	}
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(other.Close)
	return other
}

// What a host's administrator bounds does not keep replicas from migrating at the same time: one waits for the others as long as
// its context lets it, and sees what they have done.
func TestMigrateUnderTheHostsSettings(t *testing.T) {
	empty := pgtest.Empty(t)
	pool := under(t, empty, map[string]string{
		"default_transaction_isolation": "serializable", "lock_timeout": "500ms", "statement_timeout": "1s",
	})
	other, err := empty.Acquire(t.Context())
	must(t, err)
	defer other.Release()
	_, err = other.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, postgres.LockKey(postgres.DefaultSchema))
	must(t, err)
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			if err := over(t, pool).Migrate(soon(t)); err != nil {
				t.Error(err)
			}
		})
	}
	_, err = other.Exec(t.Context(), `SELECT pg_sleep(1.5)`)
	must(t, err)
	_, err = other.Exec(t.Context(), `SELECT pg_advisory_unlock($1)`, postgres.LockKey(postgres.DefaultSchema))
	must(t, err)
	replicas.Wait()
}

// A transaction of the host that holds a table does not make a migration fail if it ends soon, nor keep it waiting without end if it
// does not; nothing of the migration is left then.
func TestMigrateBesideALockedTable(t *testing.T) {
	pool := pgtest.Empty(t)
	files, err := postgres.Migrations(postgres.DefaultSchema)
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	exec(t, pool, `CREATE SCHEMA dormouse`)
	for _, name := range names[:12] { // what comes next adds indexes to the events
		text, err := fs.ReadFile(files, name)
		must(t, err)
		exec(t, pool, string(text))
	}
	version := func() (n int) {
		must(t, pool.QueryRow(t.Context(), `SELECT max(version) FROM dormouse.migrations`).Scan(&n))
		return n
	}
	impatient := over(t, under(t, pool, map[string]string{"lock_timeout": "100ms"}))
	tx, err := pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE dormouse.events`)
	must(t, err)
	if err := impatient.Migrate(soon(t)); err == nil || !strings.Contains(err.Error(), "00013") || version() != 12 {
		t.Errorf("beside a lock that stays: %v, version %d", err, version())
	}
	patient := over(t, under(t, pool, map[string]string{"lock_timeout": "1s"}))
	migrated := make(chan error)
	go func() { migrated <- patient.Migrate(soon(t)) }()
	_, err = tx.Exec(t.Context(), `SELECT pg_sleep(1.3)`) // it has to try twice
	must(t, err)
	must(t, tx.Rollback(t.Context()))
	must(t, <-migrated)
	newFleet(t, patient, 1)
}

// Row level security that hides rows from the store is said by name, before anything is decided on what is left. A role that it
// does not hide anything from works.
func TestRowLevelSecurity(t *testing.T) {
	_, pool := open(t)
	const grants = `GRANT USAGE ON SCHEMA dormouse TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA dormouse TO ROLE; GRANT ALL ON ALL SEQUENCES IN SCHEMA dormouse TO ROLE`
	_, as := role(t, pool, grants)
	exec(t, pool, `ALTER TABLE dormouse.members ENABLE ROW LEVEL SECURITY`)
	s := over(t, as(false))
	_, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1})
	for what, err := range map[string]error{"Due": err, "Migrate": s.Migrate(t.Context()), "PutOwner": s.PutOwner(t.Context(), epoch, lifecycle.Owner{})} {
		if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "row level security") || !strings.Contains(err.Error(), "members") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, exempt := role(t, pool, grants+`; alter role ROLE bypassrls`)
	newFleet(t, over(t, exempt(false)), 1)
	exec(t, pool, `ALTER TABLE dormouse.members DISABLE ROW LEVEL SECURITY`)
	newFleet(t, s, 1) // the store noticed
}

// The keys of workspaces are written with the rights of their owner: rows that are hidden from it are said by name, too, whoever asks.
func TestRowLevelSecurityThatIsForced(t *testing.T) {
	for _, table := range []string{"workspaces", "workspace_keys"} {
		t.Run(table, func(t *testing.T) {
			_, pool := open(t)
			owner, as := role(t, pool, `GRANT USAGE, CREATE ON SCHEMA dormouse TO ROLE`)
			exec(t, pool, `ALTER TABLE dormouse.`+table+` ENABLE ROW LEVEL SECURITY; ALTER TABLE dormouse.`+table+` FORCE ROW LEVEL SECURITY`)
			newFleet(t, over(t, pool), 1) // the owner passes it by
			sameKeys(t, pool)
			exec(t, pool, `ALTER FUNCTION dormouse.write_workspace_keys() OWNER TO `+owner+`;
				DO $$ BEGIN EXECUTE (SELECT string_agg(format('ALTER TABLE %s OWNER TO `+owner+`', oid::regclass), ';') FROM pg_class
					WHERE relnamespace = 'dormouse'::regnamespace AND relkind = 'r'); END $$`)
			for who, s := range map[string]*postgres.Store{"somebody exempt": over(t, pool), "the owner": over(t, as(false))} {
				for what, err := range map[string]error{"Migrate": s.Migrate(t.Context()), "PutOwner": s.PutOwner(t.Context(), epoch, lifecycle.Owner{ID: uuid.New()})} {
					if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "row level security") || !strings.Contains(err.Error(), table) {
						t.Errorf("%s, %s: %v", who, what, err)
					}
				}
			}
			exec(t, pool, `ALTER TABLE dormouse.`+table+` NO FORCE ROW LEVEL SECURITY`)
			newFleet(t, over(t, pool), 1)
			newFleet(t, over(t, as(false)), 1)
			sameKeys(t, pool)
		})
	}
}

// The store waits no longer than the host lets its sessions wait, in whatever unit that is written.
func TestHostsShorterWaitStands(t *testing.T) {
	conn, err := under(t, pgtest.Empty(t), map[string]string{"intervalstyle": "sql_standard"}).Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	setting := func() (set string) {
		t.Helper()
		must(t, conn.QueryRow(t.Context(), `SELECT current_setting('lock_timeout')`).Scan(&set))
		return set
	}
	for hosts, stands := range map[string]bool{"1ms": true, "15ms": true, "0": false, "20s": false, "1500min": false, "2d": false} {
		_, err = conn.Exec(t.Context(), `SET lock_timeout = '`+hosts+`'`)
		must(t, err)
		set := setting()
		for name, text := range postgres.Waits() {
			tx, err := conn.Begin(t.Context())
			must(t, err)
			_, err = tx.Exec(t.Context(), text)
			must(t, err)
			if got := setting(); (got == set) != stands || got == "0" {
				t.Errorf("%s: under the host's %s it waits for %s", name, hosts, got)
			}
			must(t, tx.Rollback(t.Context()))
		}
	}
}

// A claim that the host's lock_timeout ends says what it waited for, which need not be the record of its process.
func TestClaimUnderAShortWait(t *testing.T) {
	_, pool := open(t)
	s := over(t, under(t, pool, map[string]string{"lock_timeout": "20ms"}))
	org, process := uuid.New(), uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
	must(t, err)
	_, err = s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: org, Type: "build"}})
	must(t, err)
	claim := func(limits queue.Limits) (queue.Claimed, error) {
		return s.Claim(soon(t), queue.Claim{
			Token: uuid.New(), Process: process, Now: epoch, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
			Limits: limits, Probes: []queue.Probe{{Lane: queue.Lane{Organization: org, Type: "build"}}},
		})
	}
	for name, c := range map[string]struct {
		lock   string
		args   []any
		limits queue.Limits
		says   string
	}{
		"number claimed last": {
			lock: `INSERT INTO dormouse.claimed (organization_id, priority, place) SELECT organization_id, priority, place FROM dormouse.jobs`,
			says: "claimed",
		},
		"organization": {
			lock: `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2::uuid::text, 0))`, args: []any{postgres.DefaultSchema, org},
			limits: queue.Limits{PerTenant: 5}, says: "organization " + org.String(),
		},
		"record": {`SELECT FROM dormouse.processes WHERE id = $1 FOR UPDATE`, []any{process}, queue.Limits{}, "record of process " + process.String()},
	} {
		release := holds(t, pool, c.lock, c.args...)
		claimed, err := claim(c.limits)
		if !errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err) || !strings.Contains(err.Error(), c.says) || len(claimed.Jobs) != 0 {
			t.Errorf("%s: %d jobs, %v", name, len(claimed.Jobs), err)
		}
		if name != "record" && err != nil && strings.Contains(err.Error(), "record of process") {
			t.Errorf("%s: %v", name, err)
		}
		release()
	}
	claimed, err := claim(queue.Limits{})
	must(t, err)
	if len(claimed.Jobs) != 1 {
		t.Errorf("afterwards %d jobs", len(claimed.Jobs))
	}
}

// What an administrator has set so that nothing can be written is said by the name of the setting.
func TestReadOnlyByASetting(t *testing.T) {
	_, pool := open(t)
	name, as := role(t, pool, `GRANT USAGE ON SCHEMA dormouse TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA dormouse TO ROLE; GRANT ALL ON ALL SEQUENCES IN SCHEMA dormouse TO ROLE`)
	exec(t, pool, `ALTER ROLE `+name+` SET default_transaction_read_only = on`)
	s := over(t, as(false))
	_, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1})
	must(t, err)
	err = s.PutOwner(t.Context(), epoch, lifecycle.Owner{ID: uuid.New()})
	if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "default_transaction_read_only") || !strings.Contains(err.Error(), "user") {
		t.Errorf("%v", err)
	}
	exec(t, pool, `ALTER ROLE `+name+` RESET default_transaction_read_only`)
	newFleet(t, s, 1) // the store has new connections
}

// Sessions in which foreign keys do not hold are refused before they write anything.
func TestSessionWithoutForeignKeys(t *testing.T) {
	_, pool := open(t)
	s := over(t, under(t, pool, map[string]string{"session_replication_role": "replica"}))
	_, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1})
	for what, err := range map[string]error{"Due": err, "Migrate": s.Migrate(t.Context())} {
		if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "session_replication_role") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A temporary table of the host that has a table's name is in nobody's way, nor is a function that has the name of one of the server's.
func TestNamesInFrontOfTheTables(t *testing.T) {
	_, pool := open(t)
	exec(t, pool, `CREATE SCHEMA host; CREATE FUNCTION host.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$;
		CREATE FUNCTION host.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
		CREATE TABLE host.workspaces (id text); CREATE TABLE host.pg_class (relname text)`)
	cfg := under(t, pool, map[string]string{"search_path": "host, pg_temp, dormouse"}).Config()
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `CREATE TEMPORARY TABLE jobs (id text); CREATE TEMPORARY TABLE migrations (version text)`)
		return err
	}
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(other.Close)
	s := over(t, other)
	f := newFleet(t, s, 1)
	outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{started(t, load(t, s, f.ids[0])[0])})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Errorf("outcome %v", outcomes[0])
	}
}
