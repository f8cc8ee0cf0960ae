package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// sameKeys sees that the keys of the workspaces are those of the workspaces.
func sameKeys(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var differ int
	err := pool.QueryRow(context.Background(), `SELECT count(*) FROM dormouse.workspace_keys k FULL JOIN dormouse.workspaces w ON w.id = k.id
		WHERE (k.id, k.organization_id, k.owner_id, k.template_id, k.name)
			IS DISTINCT FROM (w.id, w.organization_id, w.owner_id, w.template_id, w.name)`).Scan(&differ)
	must(t, err)
	if differ > 0 {
		t.Errorf("the keys of %d workspaces differ from their rows", differ)
	}
}

// The keys follow the workspaces, whoever writes those: what a replica of a version that does not know them writes, and a person.
func TestKeysFollow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 10)
	other := lifecycle.Owner{ID: uuid.New(), Name: "other"}
	must(t, s.PutOwner(t.Context(), epoch, other))
	for _, c := range []struct {
		text string
		args []any
	}{
		{`UPDATE dormouse.workspaces SET name = 'renamed' WHERE id = $1`, []any{f.ids[0]}},
		{`UPDATE dormouse.workspaces SET owner_id = $2, organization_id = gen_random_uuid() WHERE id = $1`, []any{f.ids[1], other.ID}},
		{`UPDATE dormouse.workspaces SET id = gen_random_uuid() WHERE id = $1`, []any{f.ids[2]}},
		{`DELETE FROM dormouse.workspaces WHERE id = $1`, []any{f.ids[3]}},
		{`UPDATE dormouse.workspaces SET wake_at = now()`, nil},
		{`CREATE TABLE kept AS SELECT * FROM dormouse.workspaces; ALTER TABLE kept DROP COLUMN status`, nil},
		{`DELETE FROM dormouse.workspaces`, nil},
		{`INSERT INTO dormouse.workspace_keys SELECT id, organization_id, owner_id, template_id, 'of a dump' FROM kept`, nil},
		{`DO $$ BEGIN EXECUTE (SELECT format('INSERT INTO dormouse.workspaces (%1$s) SELECT %1$s FROM kept', string_agg(column_name, ', '))
			FROM information_schema.columns WHERE table_name = 'kept'); END $$`, nil},
	} {
		_, err := pool.Exec(t.Context(), c.text, c.args...)
		must(t, err)
		if c.text[:6] != "INSERT" {
			sameKeys(t, pool)
		}
	}
	found, err := s.List(t.Context(), lifecycle.ListQuery{OwnerID: other.ID, Limit: 10})
	must(t, err)
	if len(found) != 1 || found[0].Workspace.ID != f.ids[1] {
		t.Errorf("found %v of the new owner, want %s", found, f.ids[1])
	}
}

// The keys are truncated with the workspaces, whatever else the statement truncates.
func TestKeysAreTruncated(t *testing.T) {
	s, pool := open(t)
	newFleet(t, s, 3)
	for _, tables := range []string{`dormouse.workspaces`, `dormouse.workspaces, dormouse.workspace_keys`, `dormouse.workspaces, dormouse.owners CASCADE`} {
		exec(t, pool, `BEGIN; TRUNCATE `+tables+`; DO $$ BEGIN
			IF EXISTS (SELECT FROM dormouse.workspace_keys) THEN RAISE 'keys are left'; END IF; END $$; ROLLBACK`)
	}
	sameKeys(t, pool)
}

// The keys are not truncated without the workspaces, as with a table that they refer to.
func TestKeysAreNotTruncatedAlone(t *testing.T) {
	s, pool := open(t)
	newFleet(t, s, 3)
	for _, tables := range []string{`dormouse.owners CASCADE`, `dormouse.templates CASCADE`, `dormouse.workspace_keys`, `dormouse.workspace_keys, dormouse.events`} {
		_, err := pool.Exec(t.Context(), `TRUNCATE `+tables)
		if err == nil || !strings.Contains(err.Error(), "truncate dormouse.workspaces with them") {
			t.Errorf("TRUNCATE %s: %v", tables, err)
		}
		sameKeys(t, pool)
	}
	exec(t, pool, `TRUNCATE dormouse.owners, dormouse.workspaces CASCADE`)
	sameKeys(t, pool)
	exec(t, pool, `TRUNCATE dormouse.workspace_keys`)
}

// A role that may look up and truncate what is in the schema, and no more, is told the same.
func TestKeysAreNotTruncatedByAnybody(t *testing.T) {
	s, pool := open(t)
	newFleet(t, s, 3)
	_, as := role(t, pool, `GRANT USAGE ON SCHEMA dormouse TO ROLE; GRANT TRUNCATE ON ALL TABLES IN SCHEMA dormouse TO ROLE`)
	_, err := as(false).Exec(t.Context(), `TRUNCATE dormouse.owners CASCADE`)
	if err == nil || !strings.Contains(err.Error(), "truncate dormouse.workspaces with them") {
		t.Errorf("error %v", err)
	}
	sameKeys(t, pool)
}

// The keys are those of the workspace as it is in the end, also where a trigger of the host, which comes before that of the keys, changes it
// once more or deletes it.
func TestKeysBesideATriggerThatWritesAgain(t *testing.T) {
	for name, does := range map[string]string{
		"renames": `UPDATE dormouse.workspaces SET name = upper(name) WHERE id = NEW.id AND name <> upper(name)`,
		"moves":   `UPDATE dormouse.workspaces SET id = gen_random_uuid(), name = upper(name) WHERE id = NEW.id AND name <> upper(name)`,
		"deletes": `DELETE FROM dormouse.workspaces WHERE id = NEW.id AND name <> upper(name)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := open(t)
			f := newFleet(t, s, 3)
			exec(t, pool, `CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN `+does+`; RETURN NULL; END $$;
				CREATE TRIGGER again AFTER INSERT OR UPDATE ON dormouse.workspaces FOR EACH ROW EXECUTE FUNCTION public.again()`)
			for i, set := range []string{`name = 'again'`, `id = gen_random_uuid()`} {
				exec(t, pool, fmt.Sprintf(`UPDATE dormouse.workspaces SET %s WHERE id = '%s'`, set, f.ids[i]))
				sameKeys(t, pool)
			}
			exec(t, pool, `CREATE TABLE public.kept AS SELECT * FROM dormouse.workspaces; ALTER TABLE public.kept DROP COLUMN status;
				UPDATE public.kept SET id = gen_random_uuid(), name = 'made';
				DO $$ BEGIN EXECUTE (SELECT format('INSERT INTO dormouse.workspaces (%1$s) SELECT %1$s FROM public.kept', string_agg(column_name, ', '))
					FROM information_schema.columns WHERE table_name = 'kept'); END $$`)
			sameKeys(t, pool)
		})
	}
}

// A role that may look up what is in the schema cannot write keys with the rights of the function, through a trigger on a table of its own.
func TestKeysAreWrittenByNoOtherTable(t *testing.T) {
	_, pool := open(t)
	name, as := role(t, pool, `GRANT USAGE ON SCHEMA dormouse TO ROLE`)
	exec(t, pool, `CREATE SCHEMA theirs AUTHORIZATION `+name)
	theirs := as(true)
	exec(t, theirs, `CREATE TABLE theirs.bait ()`)
	_, err := theirs.Exec(t.Context(), `CREATE TRIGGER keys AFTER TRUNCATE ON theirs.bait
		FOR EACH STATEMENT EXECUTE FUNCTION dormouse.write_workspace_keys()`)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("create a trigger: %v, want insufficient privilege", err)
	}
}

// A migration takes the keys over, and what a role writes that has no right to them yet.
func TestKeysAreTakenOver(t *testing.T) {
	pool := pgtest.Empty(t)
	files, err := postgres.Migrations(postgres.DefaultSchema)
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	exec(t, pool, `CREATE SCHEMA dormouse`)
	migrate := func(names []string) {
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			must(t, err)
			exec(t, pool, string(text))
		}
	}
	migrate(names[:13])
	_, as := role(t, pool, `GRANT USAGE ON SCHEMA dormouse TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA dormouse TO ROLE`)
	exec(t, pool, `INSERT INTO dormouse.owners (id, name, status, quiet_hours) VALUES ('00000000-0000-4000-8000-000000000001', '', 0, '');
		INSERT INTO dormouse.templates (id, organization_id, name, active_version_id, policy)
		VALUES ('00000000-0000-4000-8000-000000000002', gen_random_uuid(), '', gen_random_uuid(), '{}')`)
	const insert = `INSERT INTO dormouse.workspaces (id, organization_id, owner_id, template_id, name, autostart, ttl_ns, automatic_updates,
			managed, deleted, failures, backoff_attempts, backoff_cause, backoff_message)
		SELECT gen_random_uuid(), organization_id, '00000000-0000-4000-8000-000000000001', id, 'w', '', 0, false, false, false, 0, 0, '', ''
		FROM dormouse.templates CROSS JOIN generate_series(1, 3)`
	exec(t, pool, insert)
	migrate(names[13:])
	sameKeys(t, pool)
	_, err = as(true).Exec(t.Context(), insert)
	must(t, err)
	sameKeys(t, pool)
}

// A role that does not see the workspaces does not take over the keys of none.
func TestKeysAreNotTakenOverUnderRowLevelSecurity(t *testing.T) {
	pool := pgtest.Empty(t)
	files, err := postgres.Migrations(postgres.DefaultSchema)
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	owner, as := role(t, pool, ``)
	exec(t, pool, `CREATE SCHEMA dormouse AUTHORIZATION `+owner)
	theirs := as(false)
	for _, name := range names[:14] {
		text, err := fs.ReadFile(files, name)
		must(t, err)
		if strings.HasPrefix(name, "00014") {
			exec(t, theirs, `ALTER TABLE dormouse.workspaces ENABLE ROW LEVEL SECURITY; ALTER TABLE dormouse.workspaces FORCE ROW LEVEL SECURITY`)
			if _, err := theirs.Exec(t.Context(), string(text)); err == nil || !strings.Contains(err.Error(), "row level security") {
				t.Errorf("%s: %v", name, err)
			}
			exec(t, theirs, `ALTER TABLE dormouse.workspaces NO FORCE ROW LEVEL SECURITY`)
		}
		exec(t, theirs, string(text))
	}
}
