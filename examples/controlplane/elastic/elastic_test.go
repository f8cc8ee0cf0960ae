//go:build unix

package elastic_test

import (
	"log/slog"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/elastic"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/workerpool"
)

// A machine speaks of the worker that was given to it. Of all other tokens, an admin's among them, it ends none and moves none, though
// their public parts are no secret.
func TestMachinesSpeakOfTheirOwnWorker(t *testing.T) {
	db, err := records.OpenSQLite(t.TempDir() + "/plane.db")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	tables := records.New(db, false)
	must(t, tables.Migrate(t.Context()))
	keeper := auth.NewKeeper(tables)
	q := elastic.New(keeper, nil, elastic.Config{Slots: 1, Max: 9, Logger: slog.New(slog.DiscardHandler)})
	tokens := map[string]string{}
	issue := func(name string, kind auth.Kind, work auth.Work) workerpool.JobID {
		id, token, err := keeper.Issue(t.Context(), kind, name, work)
		must(t, err)
		tokens[name] = token
		return workerpool.JobID(id)
	}
	valid := func(name string) (auth.Identity, bool) {
		who, err := keeper.Of(t.Context(), tokens[name])
		return who, err == nil
	}
	record := func(kind workerpool.RecordKind, id workerpool.JobID, machine workerpool.InstanceID) {
		must(t, q.Record(t.Context(), workerpool.Record{Kind: kind, Job: id, Worker: machine}))
	}
	admin, fixed := issue("admin", auth.Admin, auth.Work{}), issue("fixed", auth.Worker, auth.Work{Slots: 1})
	own, others := issue("own", auth.Worker, auth.Work{Elastic: true}), issue("others", auth.Worker, auth.Work{Elastic: true})
	record(workerpool.Claimed, own, "liar")
	record(workerpool.Claimed, others, "honest")
	for _, kind := range []workerpool.RecordKind{workerpool.Ended, workerpool.Lost, workerpool.NotStarted} {
		for name, id := range map[string]workerpool.JobID{"admin": admin, "fixed": fixed, "others": others} {
			record(kind, id, "liar")
			if _, ok := valid(name); !ok {
				t.Errorf("%s of %s: the token is no longer valid", kind, name)
			}
		}
	}
	if who, _ := valid("others"); who.Work.Machine != "honest" {
		t.Errorf("another's worker is on %q", who.Work.Machine)
	}
	record(workerpool.NotStarted, own, "liar")
	if who, _ := valid("own"); who.Work.Machine != "" {
		t.Errorf("its own worker, not started, is on %q", who.Work.Machine)
	}
	record(workerpool.Claimed, own, "liar")
	record(workerpool.Ended, own, "liar")
	if _, ok := valid("own"); ok {
		t.Error("its own worker has ended, and its token is valid")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
