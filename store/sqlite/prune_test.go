package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// A constraint is checked by the statement, or not before the commit.
var references = map[string]string{"at once": "", "deferred": "DEFERRABLE INITIALLY DEFERRED"}

// pruned is a store and its database, with a log.
type pruned struct {
	*testing.T
	s   *sqlite.Store
	db  *sql.DB
	log bytes.Buffer
}

func newPruned(t *testing.T) *pruned {
	p := &pruned{T: t, db: openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))}
	var err error
	p.s, err = sqlite.New(p.db, sqlite.Config{Logger: slog.New(slog.NewTextHandler(&p.log, nil))})
	must(t, err)
	must(t, p.s.Migrate(t.Context()))
	p.exec(hostTables)
	return p
}

func (p *pruned) exec(text string, args ...any) {
	p.Helper()
	_, err := p.db.ExecContext(p.Context(), text, args...)
	must(p.T, err)
}

// Builds and deleted workspaces that a table of the host refers to stay, and keep nothing else; nothing of them is deleted.
func TestPruneBuildsBesideAHostsReferences(t *testing.T) {
	for when, deferrable := range references {
		t.Run(when, func(t *testing.T) {
			p := newPruned(t)
			ids := seed(t, p.s, 6)
			p.exec(`UPDATE dormouse_workspaces SET deleted = 1, build_number = 9, build_id = randomblob(16), build_completed_at = ? WHERE id <> ?`,
				killEpoch.UnixMicro(), ids[5][:])
			build := func(workspace uuid.UUID, number int, completed any) {
				p.exec(`INSERT INTO dormouse_builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
					VALUES (?, ?, randomblob(16), randomblob(16), 1, '', 4, ?)`, workspace[:], number, completed)
			}
			for _, id := range []uuid.UUID{ids[0], ids[1]} {
				build(id, 1, nil)
			}
			for n := 1; n <= 7; n++ {
				build(ids[5], n, killEpoch.UnixMicro())
			}
			p.exec(`CREATE TABLE host_notes (workspace_id BLOB REFERENCES dormouse_workspaces (id) ` + deferrable + `)`)
			p.exec(`INSERT INTO host_notes VALUES (?)`, ids[0][:])
			p.exec(`CREATE TABLE host_builds (workspace_id BLOB, number INTEGER, FOREIGN KEY (workspace_id, number) REFERENCES dormouse_builds ` + deferrable + `)`)
			p.exec(`INSERT INTO host_builds VALUES (?, 2), (?, 3)`, ids[5][:], ids[5][:])
			prune := func(limit, want int) {
				t.Helper()
				n, err := p.s.PruneBuilds(t.Context(), killEpoch.Add(time.Hour), limit)
				must(t, err)
				if n != want {
					t.Errorf("of at most %d rows %d are pruned, want %d", limit, n, want)
				}
			}
			prune(3, 3)
			prune(100, 2+4)
			prune(100, 0)
			if n := rowsOf(t, p.db, "dormouse_builds"); n != 2+1 {
				t.Errorf("%d builds are left, want those that the host refers to and that of its workspace", n)
			}
			if log := p.log.String(); !strings.Contains(log, `what=build rows=2`) || !strings.Contains(log, `what="deleted workspace" rows=1 first="`+ids[0].String()) {
				t.Errorf("the log does not name what stays:\n%s", log)
			}
			p.exec(`DROP TABLE host_notes`)
			p.exec(`DROP TABLE host_builds`)
			prune(100, 2+1)
		})
	}
}

// A job that a table of the host refers to stays, and keeps no other, whatever their logs; what is unused is deleted all the same.
func TestPruneJobsBesideAHostsReferences(t *testing.T) {
	for when, deferrable := range references {
		t.Run(when, func(t *testing.T) {
			p := newPruned(t)
			jobs, err := p.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 9))
			if err != nil {
				t.Fatal(err)
			}
			ids := make([]uuid.UUID, len(jobs))
			for i, j := range jobs {
				ids[i] = j.ID
			}
			_, err = p.s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: ids, Reason: "no longer wanted"})
			must(t, err)
			fillLog(t, p.db, ids[3], 3)
			fillLog(t, p.db, ids[5], 12_000)
			must(t, p.s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Type: "scan"}, At: killEpoch, Until: killEpoch.Add(time.Minute)}))
			p.exec(`CREATE TABLE host_runs (job_id BLOB REFERENCES dormouse_jobs (id) ` + deferrable + `)`)
			p.exec(`INSERT INTO host_runs VALUES (?), (?)`, ids[0][:], ids[3][:])
			for _, want := range []int{7, 0} {
				n, err := p.s.PruneJobs(t.Context(), killEpoch.Add(time.Hour), 100)
				must(t, err)
				if left := rowsOf(t, p.db, "dormouse_lines"); n != want || left != 3 || rowsOf(t, p.db, "dormouse_pauses") != 0 {
					t.Errorf("%d jobs are pruned and %d lines left, want %d and 3", n, left, want)
				}
			}
			p.exec(`DROP TABLE host_runs`)
			if n, err := p.s.PruneJobs(t.Context(), killEpoch.Add(time.Hour), 100); err != nil || n != 2 {
				t.Errorf("afterwards %d are pruned, %v", n, err)
			}
		})
	}
}

// A limit that nothing reaches is no limit, also where one log takes several transactions.
func TestPruneJobsWithoutALimit(t *testing.T) {
	p := newPruned(t)
	jobs, err := p.s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}})
	must(t, err)
	_, err = p.s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: []uuid.UUID{jobs[0].ID}})
	must(t, err)
	fillLog(t, p.db, jobs[0].ID, 12_000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if n, err := p.s.PruneJobs(ctx, killEpoch.Add(time.Hour), math.MaxInt); err != nil || n != 1 {
		t.Errorf("%d jobs are pruned, %v", n, err)
	}
}

// What a table of the host refers to is in use.
func TestReferredRowsAreInUse(t *testing.T) {
	for when, deferrable := range references {
		t.Run(when, func(t *testing.T) {
			p := newPruned(t)
			owner, template := lifecycle.Owner{ID: uuid.New()}, lifecycle.Template{ID: uuid.New()}
			must(t, p.s.PutOwner(t.Context(), killEpoch, owner))
			must(t, p.s.PutTemplate(t.Context(), killEpoch, template))
			p.exec(`CREATE TABLE host (owner BLOB REFERENCES dormouse_owners (id) ` + deferrable + `, template BLOB REFERENCES dormouse_templates (id) ` + deferrable + `)`)
			p.exec(`INSERT INTO host VALUES (?, ?)`, owner.ID[:], template.ID[:])
			for what, err := range map[string]error{
				"owner": p.s.DeleteOwner(t.Context(), owner.ID), "template": p.s.DeleteTemplate(t.Context(), template.ID),
				"person": p.s.Forget(t.Context(), store.Person{ID: owner.ID, Pseudonym: uuid.New()}),
			} {
				if !errors.Is(err, lifecycle.ErrInUse) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
