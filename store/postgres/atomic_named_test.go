package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// Of the rows of a call that is made for all of them or none, one is refused.
const (
	rowsOfCall = 50
	refusedRow = 37
	// triesOfCall is how often such a call may try to write some of them: once for all, and as often as they can be divided by two. It may
	// meet an index twice.
	triesOfCall = 9
)

// atomicCall is such a call: on which rows, what it does, and how its error names the row.
type atomicCall struct {
	on, table string
	do        func(ctx context.Context) error
	name      string
	id        uuid.UUID // of the row that is refused
}

// atomicCalls are prepared for a store, and can be made.
var atomicCalls = map[string]func(t *testing.T, s *postgres.Store, to store.Bound) atomicCall{
	"enqueue": func(_ *testing.T, _ *postgres.Store, to store.Bound) atomicCall {
		postings := slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, rowsOfCall)
		for i := range postings {
			postings[i].ID = uuid.New()
		}
		id := postings[refusedRow].ID
		return atomicCall{on: "INSERT", table: "jobs", id: id, name: fmt.Sprintf("posting %d, job %s: ", refusedRow, id), do: func(ctx context.Context) error {
			_, err := to.Enqueue(ctx, epoch, postings)
			return err
		}}
	},
	"enqueue with tags": func(_ *testing.T, _ *postgres.Store, to store.Bound) atomicCall {
		c := atomicCall{on: "INSERT", table: "tag_sets", id: uuid.New()}
		postings := slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, rowsOfCall)
		for i := range postings {
			postings[i].ID, postings[i].Tags = uuid.New(), map[string]string{"n": uuid.NewString()}
		}
		postings[refusedRow].Tags["n"] = c.id.String()
		c.name = fmt.Sprintf("posting %d, job %s: ", refusedRow, postings[refusedRow].ID)
		c.do = func(ctx context.Context) error {
			_, err := to.Enqueue(ctx, epoch, postings)
			return err
		}
		return c
	},
	"create workspaces": func(t *testing.T, s *postgres.Store, to store.Bound) atomicCall {
		w := load(t, s, newFleet(t, s, 1).ids...)[0].Workspace
		all := slices.Repeat([]lifecycle.Workspace{w}, rowsOfCall)
		for i := range all {
			all[i].ID = uuid.New()
		}
		id := all[refusedRow].ID
		return atomicCall{on: "INSERT", table: "workspaces", id: id, name: fmt.Sprintf("workspace %s: ", id), do: func(ctx context.Context) error {
			return to.CreateWorkspaces(ctx, epoch, all...)
		}}
	},
	"put members": func(t *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		changes := newMembers(rowsOfCall)
		_, err := s.PutMembers(t.Context(), nil, changes)
		must(t, err)
		for i := range changes {
			changes[i].Member.Revision, changes[i].Member.Message = 1, "second"
		}
		return putting(s, changes, "UPDATE", changes[refusedRow].Member.ID, "")
	},
	"put new members": func(_ *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		changes := newMembers(rowsOfCall)
		return putting(s, changes, "INSERT", changes[refusedRow].Member.ID, "")
	},
	"put members that leave": func(t *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		changes := newMembers(rowsOfCall)
		_, err := s.PutMembers(t.Context(), nil, changes)
		must(t, err)
		for i := range changes {
			changes[i].Member.Revision, changes[i].Member.State = 1, prewarm.Gone
		}
		return putting(s, changes, "DELETE", changes[refusedRow].Member.ID, "")
	},
	"put successors": func(_ *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		changes, next := newMembers(rowsOfCall), newMembers(rowsOfCall)
		for i := range changes {
			changes[i].Successor = &next[i].Member
		}
		id := next[refusedRow].Member.ID
		return putting(s, changes, "INSERT", id, " and its successor "+id.String())
	},
	"cancel": func(t *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		ids, id := manyJobs(t, s)
		return atomicCall{on: "UPDATE", table: "jobs", id: id, name: fmt.Sprintf("job %s: ", id), do: func(ctx context.Context) error {
			_, err := s.Cancel(ctx, queue.Cancellation{Now: epoch, IDs: ids})
			return err
		}}
	},
	"retry": func(t *testing.T, s *postgres.Store, _ store.Bound) atomicCall {
		ids, id := manyJobs(t, s)
		_, err := s.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: ids})
		must(t, err)
		return atomicCall{on: "UPDATE", table: "jobs", id: id, name: fmt.Sprintf("job %s: ", id), do: func(ctx context.Context) error {
			_, err := s.RetryJobs(ctx, queue.Retry{Now: epoch, IDs: ids})
			return err
		}}
	},
}

func newMembers(n int) (changes []prewarm.Change) {
	for range n {
		changes = append(changes, prewarm.Change{Member: prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}})
	}
	return changes
}

func putting(s *postgres.Store, changes []prewarm.Change, on string, id uuid.UUID, successor string) atomicCall {
	return atomicCall{on: on, table: "members", id: id, name: fmt.Sprintf("member %s%s: ", changes[refusedRow].Member.ID, successor), do: func(ctx context.Context) error {
		_, err := s.PutMembers(ctx, &prewarm.PoolState{Pool: "p"}, changes)
		return err
	}}
}

// manyJobs are jobs, of which one is refused.
func manyJobs(t *testing.T, s *postgres.Store) (ids []uuid.UUID, refused uuid.UUID) {
	jobs, err := s.Enqueue(t.Context(), epoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, rowsOfCall))
	must(t, err)
	ids = jobIDs(jobs)
	return ids, ids[refusedRow]
}

// A call that is made for all of its rows or none, and fails because the host refuses one of them, names it, tries no more than it must to find
// out, and has no effect.
func TestAtomicCallsNameTheRowThatIsRefused(t *testing.T) {
	pool := pgtest.Pool(t)
	for name, prepare := range atomicCalls {
		for how, refusal := range rowRefusals {
			if how == "a constraint" {
				continue
			}
			for where, within := range map[string]bool{"store": false, "transaction": true} {
				if within && (strings.HasPrefix(name, "put") || name == "cancel" || name == "retry" || strings.Contains(how, "at the end")) {
					continue
				}
				t.Run(name+"/"+how+"/"+where, func(t *testing.T) {
					exec(t, pool, letGoSQL+`; `+noTriesSQL)
					exec(t, pool, emptySQL)
					s := over(t, pool)
					to, host := store.Bound(s), (*hostCall)(nil)
					if within {
						host = beginHost(t, s, pool)
						to = host
					}
					c := prepare(t, s, to)
					row := strings.ReplaceAll(refusal, "dormouse.jobs", "dormouse."+c.table)
					if c.on != "DELETE" {
						row = strings.ReplaceAll(row, "old.id", "new.id")
					}
					if c.table == "tag_sets" {
						row = strings.Replace(row, "new.id = '%[2]s'", "position('%[2]s' in new.canon) > 0", 1)
					}
					exec(t, pool, fmt.Sprintf(row, c.on, c.id))
					tries := countTries(t, pool, c.on, c.table)
					rows := count(t, pool, c.table)
					err := c.do(soon(t))
					if err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), c.name) {
						t.Errorf("error %v, want one that has %q", err, c.name)
					}
					most := triesOfCall
					if name == "put successors" || c.table == "tag_sets" { // behind the members that they succeed; those before it stay
						most *= 2
					}
					if n := tries(); n > most {
						t.Errorf("tried %d times, want at most %d", n, most)
					}
					if within {
						host.wantUsable(t)
						must(t, host.tx.Rollback(t.Context()))
					}
					if left := count(t, pool, c.table); left != rows && c.table != "tag_sets" && !(name == "enqueue" && how == "a trigger says no row") {
						t.Errorf("%d rows, there were %d", left, rows)
					}
					exec(t, pool, letGoSQL)
				})
			}
		}
	}
}

// noTriesSQL ends the counting of tries.
const noTriesSQL = `DROP SEQUENCE IF EXISTS public.tries; DROP FUNCTION IF EXISTS tries CASCADE`

// countTries counts the statements that write rows of a table from now on.
func countTries(t *testing.T, pool *pgxpool.Pool, on, table string) func() int {
	t.Helper()
	exec(t, pool, noTriesSQL+`; CREATE SEQUENCE public.tries; CREATE FUNCTION tries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM nextval('public.tries'); RETURN NULL; END $$;
		CREATE TRIGGER tries BEFORE `+on+` ON dormouse.`+table+` FOR EACH STATEMENT EXECUTE FUNCTION tries()`)
	return func() (n int) {
		must(t, pool.QueryRow(t.Context(), `SELECT last_value FROM public.tries`).Scan(&n))
		return n
	}
}

// The state of a pool that the host refuses is not taken for a member, and the only member is named beside a state.
func TestPutMembersNamesThePoolThatIsRefused(t *testing.T) {
	s, pool := open(t)
	put := func(n int) string {
		changes := newMembers(n)
		_, err := s.PutMembers(soon(t), &prewarm.PoolState{Pool: "p"}, changes)
		if err == nil {
			t.Fatalf("%d members are put", n)
		}
		if n == 0 {
			return err.Error()
		}
		return strings.ReplaceAll(err.Error(), changes[0].Member.ID.String(), "ID")
	}
	for how, refusal := range refusals {
		exec(t, pool, letGoSQL+`; `+hostTrigger("INSERT", "pools", "true", refusal))
		for _, n := range []int{0, 1, 3} {
			if said := put(n); !strings.Contains(said, `state of pool "p": `) || strings.Contains(said, "member ") {
				t.Errorf("%s: %d members: error %s", how, n, said)
			}
		}
	}
	exec(t, pool, letGoSQL)
	_, err := s.PutMembers(soon(t), &prewarm.PoolState{Pool: "other"}, nil)
	must(t, err)
	exec(t, pool, hostTrigger("UPDATE", "pools", "true", refusals["says nothing"]))
	for revision, want := range map[int64]bool{1: false, 2: true} {
		if _, err := s.PutMembers(soon(t), &prewarm.PoolState{Pool: "other", Revision: revision}, nil); err == nil || errors.Is(err, prewarm.ErrConflict) != want {
			t.Errorf("revision %d: error %v, want a conflict: %v", revision, err, want)
		}
	}
	exec(t, pool, letGoSQL+`; CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept by the host'; END $$;
		CREATE CONSTRAINT TRIGGER host AFTER INSERT ON dormouse.pools DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keeps()`)
	for _, n := range []int{0, 1, 3} {
		if said := put(n); strings.Contains(said, "member ") {
			t.Errorf("%d members, at the end of the transaction: error %s", n, said)
		}
	}
	exec(t, pool, letGoSQL+`; `+hostTrigger("INSERT", "members", "true", refusals["raises"]))
	if said := put(1); !strings.Contains(said, "member ID: ") {
		t.Errorf("error %s", said)
	}
}
