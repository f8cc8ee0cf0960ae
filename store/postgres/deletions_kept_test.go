package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// admitting are workspaces whose deletions are due, each a little later than the one before.
type admitting struct {
	*testing.T
	s   *postgres.Store
	log bytes.Buffer
	ids []uuid.UUID
	due []lifecycle.DueDeletion
}

func newAdmitting(t *testing.T, pool *pgxpool.Pool, n int) *admitting {
	a := &admitting{T: t}
	exec(t, pool, letGoSQL)
	exec(t, pool, emptySQL)
	var err error
	a.s, err = postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&a.log, nil))})
	must(t, err)
	f := newFleet(t, a.s, n)
	a.ids = f.ids
	for i, id := range a.ids {
		a.due = append(a.due, lifecycle.DueDeletion{WorkspaceID: id, TemplateID: f.template.ID, DueAt: epoch.Add(time.Duration(i) * time.Second)})
	}
	return a
}

// admits asks for all deletions at a time, and sees that those of some workspaces go, by their places.
func (a *admitting) admits(after time.Duration, b lifecycle.Brake, want ...int) {
	a.Helper()
	got, err := a.s.AdmitDeletions(soon(a.T), epoch.Add(after), b, slices.Clone(a.due))
	if err != nil {
		a.Errorf("after %v: %v", after, err)
	}
	var places []int
	for _, id := range got {
		places = append(places, slices.Index(a.ids, id))
	}
	slices.Sort(places)
	if !slices.Equal(places, want) {
		a.Errorf("after %v go %v, want %v", after, places, want)
	}
}

// deletionRefusals are those of rowRefusals that triggers are, for records of deletions: %[1]s is what is refused, %[2]s the workspace.
func deletionRefusals(row string) map[string]string {
	ways := map[string]string{}
	for how, refusal := range rowRefusals {
		if strings.HasPrefix(how, "a trigger") {
			ways[how] = strings.NewReplacer("dormouse.jobs", "dormouse.deletions", "old.id", row+".workspace_id").Replace(refusal)
		}
	}
	return ways
}

// A deletion whose record the host refuses waits, is named, and takes neither the others' time nor their room. It goes once it can.
func TestAdmitDeletionsBesideATriggerOfTheHost(t *testing.T) {
	pool := pgtest.Pool(t)
	for how, refusal := range deletionRefusals("new") {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, pool, 5)
			kept := fmt.Sprintf("%s' OR new.workspace_id = '%s", a.ids[0], a.ids[2])
			exec(t, pool, fmt.Sprintf(refusal, "INSERT", kept))
			a.admits(0, lifecycle.Brake{Max: 3}, 1, 3, 4)
			if n := count(t, pool, "deletions"); n != 3 {
				t.Errorf("%d deletions count, want 3", n)
			}
			if said := a.log.String(); strings.Count(said, "deletions cannot be admitted") != 1 || !strings.Contains(said, "rows=2") || !strings.Contains(said, a.ids[0].String()) {
				t.Errorf("log: %s", said)
			}
			a.log.Reset()
			a.admits(30*time.Second, lifecycle.Brake{}, 1, 3, 4)
			if said := a.log.String(); said != "" {
				t.Errorf("said again: %s", said)
			}
			exec(t, pool, letGoSQL)
			a.admits(time.Minute, lifecycle.Brake{}, 0, 1, 2, 3, 4)
		})
	}
}

// An admission that is an hour old and that the host keeps, or that a row refers to which somebody holds, costs no other deletion its place.
func TestAdmitDeletionsBesideOldOnesThatTheHostKeeps(t *testing.T) {
	pool := pgtest.Pool(t)
	ways := deletionRefusals("old")
	ways["somebody holds what refers to it"] = `CREATE TABLE public.kept (workspace uuid REFERENCES dormouse.deletions); INSERT INTO public.kept VALUES ('%[2]s') -- %[1]s`
	for how, refusal := range ways {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, pool, 4)
			two := lifecycle.Brake{Max: 2}
			a.admits(0, two, 0, 1)
			exec(t, pool, fmt.Sprintf(refusal, "DELETE", a.ids[1]))
			release := func() {}
			if strings.HasPrefix(how, "somebody") {
				release = holds(t, pool, `DELETE FROM public.kept`)
			}
			a.due = a.due[2:]
			a.admits(time.Hour, two, 2, 3)
			if n := count(t, pool, "deletions"); n != 3 {
				t.Errorf("%d records are left, want the two new ones and the one that is kept", n)
			}
			if said := a.log.String(); how != "a trigger says no row" && (!strings.Contains(said, a.ids[1].String()) || strings.Count(said, "level=WARN") != 1) {
				t.Errorf("log: %s", said)
			}
			release()
			exec(t, pool, letGoSQL)
			a.admits(time.Hour+time.Minute, two, 2, 3)
			if n := count(t, pool, "deletions"); n != 2 {
				t.Errorf("%d records are left, want the two new ones", n)
			}
		})
	}
}

// A deletion that has failed and is due again an hour later asks for room anew, also if its old record is kept.
func TestAdmitDeletionsAgainBesideTheirOldRecords(t *testing.T) {
	pool := pgtest.Pool(t)
	for how, refusal := range deletionRefusals("old") {
		t.Run(how, func(t *testing.T) {
			a := newAdmitting(t, pool, 4)
			two := lifecycle.Brake{Max: 2}
			a.admits(0, two, 0, 1)
			exec(t, pool, fmt.Sprintf(refusal, "DELETE", a.ids[1]))
			a.due[1].DueAt = epoch.Add(time.Minute) // behind the others
			a.admits(time.Hour, two, 0, 2)
			exec(t, pool, fmt.Sprintf(`UPDATE dormouse.deletions SET at = at - interval '1 hour' WHERE workspace_id <> '%s'`, a.ids[1]))
			a.due = a.due[1:2]
			a.admits(time.Hour+time.Minute, two, 1)
			a.due = append(a.due, lifecycle.DueDeletion{WorkspaceID: a.ids[3], TemplateID: a.due[0].TemplateID, DueAt: epoch})
			a.admits(time.Hour+2*time.Minute, lifecycle.Brake{Max: 1}, 1)
		})
	}
}

// Where everything is refused, a tick tries no more than it may, and ends.
func TestAdmitDeletionsWhereAllAreRefused(t *testing.T) {
	pool := pgtest.Pool(t)
	a := newAdmitting(t, pool, 1100)
	exec(t, pool, hostTrigger("INSERT", "deletions", "true", refusals["raises"]))
	limited := lifecycle.Brake{Max: 60, MaxPerTemplate: math.MaxInt}
	a.admits(0, limited)
	if said := a.log.String(); !strings.Contains(said, "rows=1020") {
		t.Errorf("log: %s", said)
	}
	a.log.Reset()
	a.admits(time.Second, limited)
	if said := a.log.String(); !strings.Contains(said, "rows=100 ") {
		t.Errorf("log: %s", said)
	}
}

// Deletions that another replica admits meanwhile count, whatever the host's isolation is.
func TestAdmitDeletionsSeesThoseOfAnotherReplica(t *testing.T) {
	_, pool := open(t)
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	theirs, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(theirs.Close)
	a := newAdmitting(t, theirs, 4)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE dormouse.deletions IN SHARE ROW EXCLUSIVE MODE`)
	must(t, err)
	over := make(chan error, 1)
	go func() {
		got, err := a.s.AdmitDeletions(soon(t), epoch, lifecycle.Brake{Max: 2}, a.due[2:])
		if err == nil && len(got) > 0 {
			err = fmt.Errorf("%d were admitted beside two others, want none", len(got))
		}
		over <- err
	}()
	untilWaiting(t, pool, over)
	_, err = tx.Exec(t.Context(), `INSERT INTO dormouse.deletions SELECT workspace, $2, $3 FROM unnest($1::uuid[]) workspace`, a.ids[:2], a.due[0].TemplateID, epoch)
	must(t, err)
	must(t, tx.Commit(t.Context()))
	if err := <-over; err != nil {
		t.Error(err)
	}
}
