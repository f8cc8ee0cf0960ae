package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// An event trigger of the host that refuses a migration, or ends its session, leaves nothing of it behind, and its error says which one it
// was; one that does something of its own beside it is in nobody's way.
func TestMigrateBesideAnEventTrigger(t *testing.T) {
	for name, c := range map[string]struct {
		does string
		// says is in the error; "" for none.
		says  string
		fatal bool
	}{
		"refuses a table": {`IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'dormouse.events')
			THEN RAISE 'not in this database'; END IF;`, "not in this database", false},
		"takes too long": {`IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'dormouse.jobs')
			THEN RAISE query_canceled; END IF;`, "00001", false},
		"ends the session": {`IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'dormouse.jobs')
			THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END IF;`, "terminating", true},
		"writes down what was done": {`INSERT INTO public.done SELECT object_identity FROM pg_event_trigger_ddl_commands();`, "", false},
		"turns row level security on": {`IF tg_tag = 'CREATE TABLE' THEN
			EXECUTE (SELECT string_agg(format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', object_identity), ';')
				FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table'); END IF;`, "", false},
		"adds a column": {`IF tg_tag = 'CREATE TABLE' THEN
			EXECUTE (SELECT string_agg(format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS host_note text', object_identity), ';')
				FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table'); END IF;`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Empty(t)
			exec(t, pool, `CREATE TABLE public.done (what text)`)
			exec(t, pool, fmt.Sprintf(`CREATE FUNCTION public.beside() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN %s END $$`, c.does))
			exec(t, pool, `CREATE EVENT TRIGGER host ON ddl_command_end WHEN tag IN ('CREATE TABLE', 'CREATE INDEX') EXECUTE FUNCTION public.beside()`)
			s := over(t, pool)
			if err := s.Migrate(soon(t)); c.says == "" {
				must(t, err)
			} else {
				if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, lifecycle.ErrUnavailable) != c.fatal {
					t.Errorf("migrate: %v", err)
				}
				var tables int
				must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'dormouse'`).Scan(&tables))
				if tables != 0 {
					t.Errorf("%d tables are left", tables)
				}
				exec(t, pool, `DROP EVENT TRIGGER host`)
				must(t, s.Migrate(soon(t)))
			}
			committed := load(t, s, newFleet(t, s, 1).ids...)
			outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{started(t, committed[0])})
			must(t, err)
			if outcomes[0] != lifecycle.Applied {
				t.Errorf("outcome %v", outcomes[0])
			}
			_, jobs := runningJobs(t, s, 2)
			ends(t, s, jobs)
		})
	}
}

// ends ends jobs, and reads them.
func ends(t *testing.T, s *postgres.Store, jobs []queue.Job) {
	t.Helper()
	var all []queue.End
	for _, j := range jobs {
		all = append(all, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded})
	}
	ended, err := s.End(t.Context(), epoch, all)
	must(t, err)
	for _, e := range ended {
		if e.Err != nil || e.Job.State != queue.Succeeded {
			t.Errorf("ended as %+v", e)
		}
	}
	found, err := s.Jobs(t.Context(), queue.Filter{IDs: jobIDs(jobs)})
	must(t, err)
	if len(found) != len(jobs) {
		t.Errorf("%d of %d jobs are found", len(found), len(jobs))
	}
}
