package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// Whoever writes infinity into a column of instants keeps nobody from reading what is there: every column, both infinities.
func TestInfinityInEveryColumn(t *testing.T) {
	s, pool := open(t)
	ctx := t.Context()
	w := furnished(t, s)
	exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at) VALUES ($1, false, $2)`, w.workspace, epoch)
	rows, err := pool.Query(ctx, `
		SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = 'dormouse' AND c.data_type = 'timestamp with time zone' AND t.table_type = 'BASE TABLE'`)
	must(t, err)
	var columns [][2]string
	for rows.Next() {
		var c [2]string
		must(t, rows.Scan(&c[0], &c[1]))
		columns = append(columns, c)
	}
	must(t, rows.Err())
	if len(columns) < 30 {
		t.Fatalf("%d columns", len(columns))
	}
	written := 0
	for _, c := range columns {
		for _, value := range []string{"infinity", "-infinity"} {
			tx, err := pool.Begin(ctx)
			must(t, err)
			tag, err := tx.Exec(ctx, fmt.Sprintf(`UPDATE dormouse.%s SET %s = '%s'`, c[0], c[1], value))
			if err == nil { // the table may have a rule against it
				written += int(tag.RowsAffected())
				for name, err := range reads(ctx, s.Within(tx), w) {
					if err != nil {
						t.Errorf("%s is %s in %s: %s: %v", c[1], value, c[0], name, err)
					}
				}
			}
			must(t, tx.Rollback(ctx))
		}
	}
	if written < 2*len(columns) {
		t.Errorf("%d values were written into %d columns: some tables are empty", written, len(columns))
	}
}

// furniture is what there is in a store that has one of each.
type furniture struct {
	workspace, owner, process uuid.UUID
	jobs                      []queue.Job
	posted                    queue.Job
	snapshots                 []lifecycle.Snapshot
}

// furnished puts a row into every table that has instants.
func furnished(t *testing.T, s *postgres.Store) (w furniture) {
	t.Helper()
	ctx := t.Context()
	f := newFleet(t, s, 3)
	w.workspace, w.owner = f.ids[0], f.owner.ID
	for n := range 2 { // the first build becomes history
		all := load(t, s, f.ids...)
		var changes []lifecycle.Change
		for _, snapshot := range all {
			c := started(t, snapshot)
			c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: snapshot.Workspace.ID}}
			changes = append(changes, c)
		}
		_, err := s.Commit(ctx, epoch, changes)
		must(t, err)
		if n == 0 {
			for _, snapshot := range load(t, s, f.ids...) {
				c := lifecycle.Change{Revision: snapshot.Workspace.Revision, Workspace: snapshot.Workspace, Build: snapshot.Build}
				c.Build.Status, c.Build.CompletedAt = lifecycle.JobSucceeded, epoch
				_, err := s.Commit(ctx, epoch, []lifecycle.Change{c})
				must(t, err)
			}
		}
	}
	w.snapshots = load(t, s, f.ids...)
	w.process, w.jobs = runningJobs(t, s, 2)
	_, err := s.Renew(ctx, epoch, []queue.Renewal{{Handout: w.jobs[0].Handout(), Process: w.process, Lines: []queue.Line{{At: epoch, Text: "on it"}}}})
	must(t, err)
	posted, err := s.Enqueue(ctx, epoch, []queue.Posting{{ID: uuid.New(), Organization: w.jobs[0].Organization, Type: "build"}})
	must(t, err)
	w.posted = posted[0]
	must(t, s.PauseJobs(ctx, queue.Pause{Scope: queue.Scope{Type: "other"}, At: epoch, By: "ann", Until: epoch.Add(time.Hour)}))
	_, err = s.PutMembers(ctx, &prewarm.PoolState{Pool: "p"}, []prewarm.Change{{Member: prewarm.Member{
		ID: uuid.New(), Resource: uuid.New(), Pool: "p", State: prewarm.Ready, CreatedAt: epoch, ReadyAt: epoch, Deadline: epoch.Add(time.Hour),
	}}})
	must(t, err)
	_, err = s.Shard(ctx, epoch, uuid.New(), time.Minute)
	must(t, err)
	_, err = s.Ticked(ctx, epoch, time.Minute, time.Hour)
	must(t, err)
	_, err = s.AdmitDeletions(ctx, epoch, lifecycle.Brake{}, dueDeletion(w))
	must(t, err)
	return w
}

func dueDeletion(w furniture) []lifecycle.DueDeletion {
	s := w.snapshots[0].Workspace
	return []lifecycle.DueDeletion{{WorkspaceID: s.ID, TemplateID: s.TemplateID, DueAt: epoch}}
}

// reads are all calls that read, and the errors that they return.
func reads(ctx context.Context, s *postgres.Store, w furniture) map[string]error {
	all := map[string]error{}
	now, topics := epoch.Add(time.Minute), []lifecycle.Topic{lifecycle.TopicAudit}
	_, all["Due"] = s.Due(ctx, lifecycle.DueQuery{Now: now, Limit: 10})
	_, all["Load"] = s.Load(ctx, w.workspace)
	_, all["NextWake"] = s.NextWake(ctx, lifecycle.Shard{})
	for _, order := range []lifecycle.ListOrder{lifecycle.ListByID, lifecycle.ListByName, lifecycle.ListByWake} {
		_, all[fmt.Sprint("List ", order)] = s.List(ctx, lifecycle.ListQuery{Order: order, Limit: 10})
	}
	_, all["Templates"] = s.Templates(ctx, lifecycle.TemplateQuery{Limit: 10})
	_, all["Owners"] = s.Owners(ctx, lifecycle.OwnerQuery{Limit: 10})
	_, _, all["Owner"] = s.Owner(ctx, w.owner)
	_, all["Builds"] = s.Builds(ctx, w.workspace, 0, 10)
	_, all["FleetBuilds"] = s.FleetBuilds(ctx, lifecycle.BuildQuery{Limit: 10})
	_, all["Backlog"] = s.Backlog(ctx, now)
	_, all["Engine"] = s.Engine(ctx)
	_, all["Shard"] = s.Shard(ctx, now, uuid.New(), time.Minute)
	_, all["Ticked"] = s.Ticked(ctx, now, time.Minute, time.Hour)
	_, all["Ticked after a gap"] = s.Ticked(ctx, now.Add(24*time.Hour), time.Minute, time.Hour)
	_, all["AdmitDeletions"] = s.AdmitDeletions(ctx, now, lifecycle.Brake{}, dueDeletion(w))
	_, all["ClaimEvents"] = s.ClaimEvents(ctx, now, topics, time.Minute, 10)
	_, all["PruneEvents"] = s.PruneEvents(ctx, now, topics, 10)
	_, all["Jobs"] = s.Jobs(ctx, queue.Filter{Process: w.process})
	_, all["ListJobs"] = s.ListJobs(ctx, queue.JobQuery{Organization: w.posted.Organization})
	_, all["CountJobs"] = s.CountJobs(ctx, queue.JobQuery{Organization: w.posted.Organization}, 10)
	_, all["Lines"] = s.Lines(ctx, w.jobs[0].ID, 0, 10)
	_, all["Attempts"] = s.Attempts(ctx, w.jobs[0].ID)
	_, all["Pauses"] = s.Pauses(ctx, now)
	_, all["Processes"] = s.Processes(ctx, queue.ProcessQuery{Limit: 10})
	_, all["Ready"] = s.Ready(ctx, now, queue.ReadyQuery{CountTo: 10, Whole: true})
	_, all["Ahead"] = s.Ahead(ctx, w.posted.ID, 10)
	_, all["Renew"] = s.Renew(ctx, now, []queue.Renewal{{Handout: w.jobs[0].Handout(), Process: w.process}})
	_, all["End"] = s.End(ctx, now, []queue.End{{Handout: w.jobs[1].Handout(), Outcome: queue.OutcomeFailed, Error: "e"}})
	_, all["Cancel"] = s.Cancel(ctx, queue.Cancellation{Now: now, IDs: []uuid.UUID{w.posted.ID}})
	_, all["Members"] = s.Members(ctx, prewarm.Query{Pool: "p"})
	_, all["Members due"] = s.Members(ctx, prewarm.Query{Pool: "p", DueBy: now})
	_, all["PoolState"] = s.PoolState(ctx, "p")
	_, all["ClaimMembers"] = s.ClaimMembers(ctx, now, prewarm.Pick{Pool: "p"}, []prewarm.Claim{{Key: "k", Owner: "ann"}})
	return all
}
