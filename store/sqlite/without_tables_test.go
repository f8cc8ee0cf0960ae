package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// Every call on a database without tables says what to do, and none answers as if there were nothing. So does one in a
// transaction of the host.
func TestWithoutTables(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	s, err := sqlite.New(db, sqlite.Config{})
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	errs := withoutTables(t, s)
	_, errs["Load of a transaction"] = s.WithTx(tx).Load(t.Context(), uuid.New())
	errs["PutOwner of a transaction"] = s.WithTx(tx).PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()})
	must(t, tx.Rollback())
	for name, err := range errs {
		var version *migrate.VersionError
		if !errors.As(err, &version) || !errors.Is(err, lifecycle.ErrUnavailable) {
			t.Errorf("%s: error %v, want a VersionError", name, err)
		}
	}
}

// withoutTables makes calls of all kinds and returns their errors.
func withoutTables(t *testing.T, s store.Store) map[string]error {
	ctx, now, id := t.Context(), time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), uuid.New()
	topics := lifecycle.AllTopics.List()
	errs := map[string]error{
		"PutTemplate":      s.PutTemplate(ctx, now, lifecycle.Template{ID: id}),
		"PutOwner":         s.PutOwner(ctx, now, lifecycle.Owner{ID: id}),
		"PutEngine":        s.PutEngine(ctx, now, lifecycle.Engine{}),
		"CreateWorkspaces": s.CreateWorkspaces(ctx, now, lifecycle.Workspace{ID: id}),
		"SettleEvents":     s.SettleEvents(ctx, now, []lifecycle.Delivery{{Seq: 1}}),
		"PauseJobs":        s.PauseJobs(ctx, queue.Pause{At: now}),
		"Forget":           s.(store.Forgetter).Forget(ctx, store.Person{ID: id, Pseudonym: uuid.New()}),
		"DeleteOwner":      s.(lifecycle.Remover).DeleteOwner(ctx, id),
	}
	read := func(name string) func(any, error) { return func(_ any, err error) { errs[name] = err } }
	_, _, err := s.Template(ctx, id)
	errs["Template"] = err
	_, _, err = s.Owner(ctx, id)
	errs["Owner"] = err
	read("Engine")(s.Engine(ctx))
	read("Due")(s.Due(ctx, lifecycle.DueQuery{Now: now, Limit: 1}))
	read("Load")(s.Load(ctx, id))
	read("Commit")(s.Commit(ctx, now, []lifecycle.Change{{Workspace: lifecycle.Workspace{ID: id}}}))
	read("NextWake")(s.NextWake(ctx, lifecycle.Shard{}))
	read("Backlog")(s.Backlog(ctx, now))
	read("List")(s.List(ctx, lifecycle.ListQuery{Limit: 1}))
	read("List by name")(s.List(ctx, lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByName}))
	read("Templates")(s.Templates(ctx, lifecycle.TemplateQuery{Limit: 1}))
	read("Owners")(s.Owners(ctx, lifecycle.OwnerQuery{Limit: 1}))
	read("CountStatuses")(s.CountStatuses(ctx, lifecycle.CountQuery{}))
	read("Builds")(s.Builds(ctx, id, 0, 1))
	read("FleetBuilds")(s.FleetBuilds(ctx, lifecycle.BuildQuery{Limit: 1}))
	read("ClaimEvents")(s.ClaimEvents(ctx, now, topics, time.Minute, 1))
	read("PruneEvents")(s.PruneEvents(ctx, now, topics, 1))
	read("PruneBuilds")(s.PruneBuilds(ctx, now, 1))
	read("Enqueue")(s.Enqueue(ctx, now, []queue.Posting{{Type: "build"}}))
	read("Ready")(s.Ready(ctx, now, queue.ReadyQuery{}))
	read("Claim")(s.Claim(ctx, queue.Claim{Process: id, Now: now, Probes: []queue.Probe{{}}, Workers: []uuid.UUID{id}}))
	read("Renew")(s.Renew(ctx, now, []queue.Renewal{{}}))
	read("End")(s.End(ctx, now, []queue.End{{}}))
	read("Reassign")(s.Reassign(ctx, []queue.Reassignment{{}}))
	read("Cancel")(s.Cancel(ctx, queue.Cancellation{Now: now, IDs: []uuid.UUID{id}}))
	read("Heartbeat")(s.Heartbeat(ctx, queue.Heartbeat{Process: id, Now: now}))
	read("Reap")(s.Reap(ctx, queue.ReapRequest{Now: now, Process: id, Limit: 1}))
	read("PruneJobs")(s.PruneJobs(ctx, now, 1))
	read("Jobs")(s.Jobs(ctx, queue.Filter{IDs: []uuid.UUID{id}}))
	read("Lines")(s.Lines(ctx, id, 0, 1))
	read("Ahead")(s.Ahead(ctx, id, 1))
	read("ListJobs")(s.ListJobs(ctx, queue.JobQuery{}))
	read("CountJobs")(s.CountJobs(ctx, queue.JobQuery{}, 1))
	read("RetryJobs")(s.RetryJobs(ctx, queue.Retry{Now: now, IDs: []uuid.UUID{id}}))
	read("ResumeJobs")(s.ResumeJobs(ctx, queue.Scope{}))
	read("Pauses")(s.Pauses(ctx, now))
	read("Attempts")(s.Attempts(ctx, id))
	read("Processes")(s.Processes(ctx, queue.ProcessQuery{Limit: 1}))
	read("ClaimMembers")(s.ClaimMembers(ctx, now, prewarm.Pick{}, []prewarm.Claim{{Key: "k"}}))
	read("PutMembers")(s.PutMembers(ctx, nil, []prewarm.Change{{}}))
	read("Members")(s.Members(ctx, prewarm.Query{}))
	read("PoolState")(s.PoolState(ctx, "a"))
	read("CommitMembers")(s.CommitMembers(ctx, now, []lifecycle.Change{{Workspace: lifecycle.Workspace{ID: id}}}, []prewarm.Member{{ID: id}}))
	return errs
}
