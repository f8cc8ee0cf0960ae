package sqlite_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// refusals are what a trigger of the host does with a row that is not to be written: it says why, or leaves it out without a word; it leaves
// what the statement has done so far, or ends the whole transaction; or it refers to what is not there, which SQLite finds at the end of the
// statement, or not before the commit. The tables for that are those of hostTables.
var refusals = map[string]string{
	"raises": `SELECT RAISE(ABORT, 'kept by the host')`, "says nothing": `SELECT RAISE(IGNORE)`, "fails": `SELECT RAISE(FAIL, 'kept by the host')`,
	"ends the transaction": `SELECT RAISE(ROLLBACK, 'kept by the host')`,
	"refers to nothing":    `INSERT INTO host_now VALUES (1)`, "refers to nothing at the commit": `INSERT INTO host_later VALUES (1)`,
}

const hostTables = `
	CREATE TABLE host_rows (id INTEGER PRIMARY KEY);
	CREATE TABLE host_now (id INTEGER REFERENCES host_rows);
	CREATE TABLE host_later (id INTEGER REFERENCES host_rows DEFERRABLE INITIALLY DEFERRED)`

// startOf is the change that requests a start, with an event.
func startOf(t *testing.T, s *sqlite.Store, id uuid.UUID) lifecycle.Change {
	t.Helper()
	found, err := s.Load(t.Context(), id)
	must(t, err)
	c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(found[0], killEpoch)
	must(t, err)
	c.Build.ID = uuid.New()
	c.Job = &lifecycle.Job{ID: c.Build.ID, OwnerID: found[0].Workspace.OwnerID, WorkspaceID: id, BuildNumber: c.Build.Number, Transition: c.Build.Transition}
	c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: killEpoch, WorkspaceID: id}}
	return c
}

// A trigger of the host that keeps a row of one workspace from being written keeps all of that workspace's change from being written, and
// no other's. It is the workspace that is to blame, not the store.
func TestCommitBesideATriggerOfTheHost(t *testing.T) {
	for how, refusal := range refusals {
		for what, trigger := range map[string]string{
			"workspace": `UPDATE ON dormouse_workspaces WHEN new.id = x'%s'`,
			"build":     `INSERT ON dormouse_builds WHEN new.workspace_id = x'%s'`,
			"event":     `INSERT ON dormouse_events WHEN new.workspace_id = x'%s'`,
			"job":       `INSERT ON dormouse_jobs WHEN instr(CAST(new.payload AS TEXT), '%s')`,
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				db := openNew(t)
				s := migrated(t, db)
				ids := seed(t, s, 3)
				exec := func(text string) {
					t.Helper()
					_, err := db.ExecContext(t.Context(), text)
					must(t, err)
				}
				exec(hostTables)
				exec(`UPDATE dormouse_workspaces SET build_number = 1, build_id = randomblob(16), build_status = 4, build_transition = 2, build_reason = '',
					build_version_id = randomblob(16)`)
				guilty := hex.EncodeToString(ids[1][:])
				if what == "job" {
					guilty = ids[1].String()
				}
				exec(`CREATE TRIGGER host BEFORE ` + fmt.Sprintf(trigger, guilty) + ` BEGIN ` + refusal + `; END`)
				var changes []lifecycle.Change
				for _, id := range ids {
					changes = append(changes, startOf(t, s, id))
				}
				if _, err := s.Commit(t.Context(), killEpoch, changes); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("together: %v", err)
				}
				for i, c := range changes {
					outcomes, err := s.Commit(t.Context(), killEpoch, []lifecycle.Change{c})
					var blame *lifecycle.ChangeError
					switch {
					case i == 1 && (!errors.As(err, &blame) || blame.WorkspaceID != ids[1] || errors.Is(err, lifecycle.ErrUnavailable)):
						t.Errorf("the one in the way: %v, %v", outcomes, err)
					case i != 1 && (err != nil || !slices.Equal(outcomes, []lifecycle.Outcome{lifecycle.Applied})):
						t.Errorf("another: %v, %v", outcomes, err)
					}
				}
				if events, jobs := rowsOf(t, db, "dormouse_events"), rowsOf(t, db, "dormouse_jobs"); events != 2 || jobs != 2 {
					t.Errorf("%d events and %d jobs, want those of the others", events, jobs)
				}
				exec(`DROP TRIGGER host`)
				if outcomes, err := s.Commit(t.Context(), killEpoch, changes[1:2]); err != nil || outcomes[0] != lifecycle.Applied {
					t.Errorf("afterwards: %v, %v", outcomes, err)
				}
			})
		}
	}
}

// A job that a trigger keeps from being started stands in front of no other, and is said in the log.
func TestClaimBesideATriggerOfTheHost(t *testing.T) {
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			p := newPruned(t)
			org, tenant, process := uuid.New(), uuid.New(), uuid.New()
			_, err := p.s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: killEpoch})
			must(t, err)
			jobs, err := p.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: org, Tenant: tenant, Type: "build"}}, 2))
			must(t, err)
			p.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.id = x'` + hex.EncodeToString(jobs[0].ID[:]) + `' BEGIN ` + refusal + `; END`)
			for _, want := range []int{1, 0} {
				claimed, err := p.s.Claim(t.Context(), queue.Claim{
					Token: uuid.New(), Process: process, Now: killEpoch, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
					Limits: queue.Limits{PerTenant: 2}, Probes: []queue.Probe{{Lane: queue.Lane{Organization: org, Type: "build"}}},
				})
				must(t, err)
				if len(claimed.Jobs) != want || want == 1 && claimed.Jobs[0].ID != jobs[1].ID {
					t.Errorf("claimed %d jobs, want %d", len(claimed.Jobs), want)
				}
				// The second claim passes over it, and does not try it.
				if named := claimed.Refused; len(named) != want || want == 1 && (named[0].Job != jobs[0].ID || named[0].Why == "" || named[0].Again.IsZero()) {
					t.Errorf("named as refused: %+v", named)
				}
			}
			if !strings.Contains(p.log.String(), jobs[0].ID.String()) {
				t.Errorf("log: %s", p.log.String())
			}
		})
	}
}

// What a trigger keeps from being written is not reported as written, by whatever else writes.
func TestWritesBesideATriggerThatSaysNothing(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	ids := seed(t, s, 1)
	w, err := s.Load(t.Context(), ids[0])
	must(t, err)
	spare, paused := uuid.New(), uuid.New()
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: spare}))
	must(t, s.PutTemplate(t.Context(), killEpoch, lifecycle.Template{ID: spare}))
	must(t, s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Organization: paused}, At: killEpoch}))
	for _, table := range []string{"workspaces", "owners", "templates", "jobs", "engine", "pauses"} {
		for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf(`CREATE TRIGGER host_%[1]s_%[2]s BEFORE %[2]s ON dormouse_%[1]s BEGIN SELECT RAISE(IGNORE); END`, table, event))
			must(t, err)
		}
	}
	for what, write := range map[string]func() error{
		"workspace": func() error {
			next := w[0].Workspace
			next.ID = uuid.New()
			return s.CreateWorkspaces(t.Context(), killEpoch, next)
		},
		"owner": func() error { return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}) },
		"old owner": func() error {
			return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: w[0].Owner.ID, Name: "bob"})
		},
		"deletion of an owner":   func() error { return s.DeleteOwner(t.Context(), spare) },
		"deletion of a template": func() error { return s.DeleteTemplate(t.Context(), spare) },
		"hold of everything": func() error {
			return s.PutEngine(t.Context(), killEpoch, lifecycle.Engine{Hold: lifecycle.Hold{Rules: lifecycle.HoldAll}})
		},
		"topics": func() error { return s.ChangeTopics(t.Context(), lifecycle.AllTopics, 0) },
		"pause": func() error {
			return s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Organization: uuid.New()}, At: killEpoch})
		},
		"pause that is made anew": func() error {
			return s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Organization: paused}, At: killEpoch})
		},
		"end of a pause": func() error {
			_, err := s.ResumeJobs(t.Context(), queue.Scope{Organization: paused})
			return err
		},
		"job": func() error {
			_, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "build"}})
			return err
		},
	} {
		if err := write(); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Nobody is forgotten in part: where a trigger keeps something of theirs without a word, the call fails.
func TestForgetBesideATriggerThatSaysNothing(t *testing.T) {
	for what, on := range map[string]string{
		"job": "DELETE ON dormouse_jobs", "owner": "DELETE ON dormouse_owners", "hold": "UPDATE ON dormouse_workspaces",
		"everything": "UPDATE ON dormouse_engine", "pause": "UPDATE ON dormouse_pauses",
	} {
		t.Run(what, func(t *testing.T) {
			p := newPruned(t)
			ids := seed(t, p.s, 1)
			zoe := lifecycle.Owner{ID: uuid.New(), Name: "zoe"}
			must(t, p.s.PutOwner(t.Context(), killEpoch, zoe))
			must(t, p.s.PutEngine(t.Context(), killEpoch, lifecycle.Engine{Hold: lifecycle.Hold{Rules: lifecycle.HoldAll, By: "zoe"}}))
			must(t, p.s.PauseJobs(t.Context(), queue.Pause{At: killEpoch, By: "zoe"}))
			p.exec(`UPDATE dormouse_workspaces SET hold_by = 'zoe' WHERE id = ?`, ids[0][:])
			jobs, err := p.s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "build", Tenant: zoe.ID}})
			must(t, err)
			_, err = p.s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: idsOf(jobs)})
			must(t, err)
			p.exec(`CREATE TRIGGER host BEFORE ` + on + ` BEGIN SELECT RAISE(IGNORE); END`)
			person := store.Person{ID: zoe.ID, Names: []string{"zoe"}, Pseudonym: uuid.New()}
			if err := p.s.Forget(t.Context(), person); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("forget: %v", err)
			}
			p.exec(`DROP TRIGGER host`)
			must(t, p.s.Forget(t.Context(), person))
		})
	}
}

// A trigger that fails over what is in a row is that row's fault, as one that raises is. One that cannot be understood is nobody's.
func TestClaimBesideATriggerThatFails(t *testing.T) {
	for how, c := range map[string]struct {
		refusal string
		claimed int
		err     error
	}{
		"over the row": {`SELECT json('kept by the host')`, 1, nil},
		"at all":       {`DELETE FROM host_unknown`, 0, lifecycle.ErrUnavailable},
	} {
		t.Run(how, func(t *testing.T) {
			k := &keptJobs{pruned: newPruned(t)}
			k.pending()
			kept := k.jobs[0].ID
			k.exec(`CREATE TRIGGER host BEFORE UPDATE ON dormouse_jobs WHEN old.id = x'` + hex.EncodeToString(kept[:]) + `' BEGIN ` + c.refusal + `; END`)
			claimed, err := k.s.Claim(t.Context(), queue.Claim{
				Token: uuid.New(), Process: k.process, Now: killEpoch, Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{queue.NewSecret().Hash()},
				Probes: []queue.Probe{{Lane: k.jobs[0].Lane()}},
			})
			if !errors.Is(err, c.err) || len(claimed.Jobs) != c.claimed {
				t.Errorf("claimed %d jobs, %v", len(claimed.Jobs), err)
			}
			if said := strings.Contains(k.log.String(), kept.String()); said != (c.err == nil) {
				t.Errorf("log: %s", k.log.String())
			}
		})
	}
}
