package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// refusals of a trigger: one says why, one takes longer than statement_timeout, the other leaves the row out without a word.
var refusals = map[string]string{
	"raises": `RAISE 'kept by the host'`, "takes too long": `RAISE query_canceled USING MESSAGE = 'kept by the host'`, "says nothing": `RETURN NULL`,
}

// hostTrigger makes a trigger that refuses the rows that a condition describes.
func hostTrigger(event, table, condition, refusal string) string {
	return fmt.Sprintf(`CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; END $$;
		CREATE TRIGGER host BEFORE %s ON dormouse.%s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION keeps()`, refusal, event, table, condition)
}

// A trigger of the host that keeps a row of one workspace from being written keeps all of that workspace's change from being written, and
// no other's. It is the workspace that is to blame, not the store.
func TestCommitBesideATriggerOfTheHost(t *testing.T) {
	s, pool := open(t)
	for how, refusal := range refusals {
		for what, on := range map[string][3]string{
			"workspace": {"UPDATE", "workspaces", "new.id = '%s'"},
			"build":     {"INSERT", "builds", "new.workspace_id = '%s'"},
			"event":     {"INSERT", "events", "new.workspace_id = '%s'"},
			"job":       {"INSERT", "jobs", "position('%s' in convert_from(new.payload, 'UTF8')) > 0"},
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				exec(t, pool, emptySQL)
				f := newFleet(t, s, 3)
				exec(t, pool, `UPDATE dormouse.workspaces SET build_number = 1, build_id = gen_random_uuid(), build_status = 4, build_transition = 2,
					build_reason = '', build_version_id = gen_random_uuid()`)
				exec(t, pool, hostTrigger(on[0], on[1], fmt.Sprintf(on[2], f.ids[1]), refusal))
				var changes []lifecycle.Change
				for _, id := range f.ids {
					c := started(t, load(t, s, id)[0])
					c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: id}}
					changes = append(changes, c)
				}
				if _, err := s.Commit(soon(t), epoch, changes); err == nil || errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("together: %v", err)
				}
				for i, c := range changes {
					outcomes, err := s.Commit(soon(t), epoch, []lifecycle.Change{c})
					switch {
					case i == 1 && (err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "kept")):
						t.Errorf("the one in the way: %v, %v", outcomes, err)
					case i != 1 && (err != nil || !slices.Equal(outcomes, []lifecycle.Outcome{lifecycle.Applied})):
						t.Errorf("another: %v, %v", outcomes, err)
					}
				}
				var events, jobs int
				must(t, pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM dormouse.events), (SELECT count(*) FROM dormouse.jobs)`).Scan(&events, &jobs))
				if events != 2 || jobs != 2 {
					t.Errorf("%d events and %d jobs, want those of the others", events, jobs)
				}
				exec(t, pool, `DROP TRIGGER host ON dormouse.`+on[1]+`; DROP FUNCTION keeps`)
				if outcomes, err := s.Commit(soon(t), epoch, changes[1:2]); err != nil || outcomes[0] != lifecycle.Applied {
					t.Errorf("afterwards: %v, %v", outcomes, err)
				}
			})
		}
	}
}

// What is written with an event is not written where a trigger keeps that out without a word.
func TestRecordedWritesBesideATriggerOfTheHost(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	w := load(t, s, f.ids...)[0]
	exec(t, pool, hostTrigger("INSERT", "events", "true", refusals["says nothing"]))
	to := s.Recording(lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch})
	read := dump(pool)
	before := read(t, s)
	next := w.Workspace
	next.ID, next.Name = uuid.New(), "next"
	f.template.Revision, f.template.Name = 1, "renamed"
	for what, write := range map[string]func() error{
		"workspace": func() error { return to.CreateWorkspaces(soon(t), epoch, next) },
		"owner":     func() error { return to.PutOwner(soon(t), epoch, lifecycle.Owner{ID: f.owner.ID, Name: "bob"}) },
		"template":  func() error { return to.PutTemplate(soon(t), epoch, f.template) },
		"engine":    func() error { return to.PutEngine(soon(t), epoch, lifecycle.Engine{}) },
	} {
		if err := write(); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "kept 1 events") {
			t.Errorf("%s: %v", what, err)
		}
		if after := read(t, s); after != before {
			t.Errorf("%s: it has an effect:\n%s\nwas\n%s", what, after, before)
		}
	}
}

// What a trigger keeps from being written or deleted is not reported as done, by whatever else writes.
func TestWritesBesideATriggerThatSaysNothing(t *testing.T) {
	s, pool := open(t)
	w := load(t, s, newFleet(t, s, 1).ids...)[0]
	spare, paused := lifecycle.Template{ID: uuid.New()}, uuid.New()
	must(t, s.PutTemplate(t.Context(), epoch, spare))
	must(t, s.PutOwner(t.Context(), epoch, lifecycle.Owner{ID: spare.ID}))
	must(t, s.PauseJobs(t.Context(), queue.Pause{Scope: queue.Scope{Organization: paused}, At: epoch}))
	exec(t, pool, `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
	for _, table := range []string{"workspaces", "owners", "templates", "jobs", "engine", "pauses", "processes"} {
		exec(t, pool, `CREATE TRIGGER host BEFORE INSERT OR UPDATE OR DELETE ON dormouse.`+table+` FOR EACH ROW EXECUTE FUNCTION keeps()`)
	}
	for what, write := range map[string]func() error{
		"workspace": func() error {
			next := w.Workspace
			next.ID = uuid.New()
			return s.CreateWorkspaces(soon(t), epoch, next)
		},
		"owner":                  func() error { return s.PutOwner(soon(t), epoch, lifecycle.Owner{ID: uuid.New()}) },
		"old owner":              func() error { return s.PutOwner(soon(t), epoch, lifecycle.Owner{ID: w.Owner.ID, Name: "bob"}) },
		"template":               func() error { return s.PutTemplate(soon(t), epoch, lifecycle.Template{ID: uuid.New()}) },
		"deletion of an owner":   func() error { return s.DeleteOwner(soon(t), spare.ID) },
		"deletion of a template": func() error { return s.DeleteTemplate(soon(t), spare.ID) },
		"hold of everything": func() error {
			return s.PutEngine(soon(t), epoch, lifecycle.Engine{Hold: lifecycle.Hold{Rules: lifecycle.HoldAll}})
		},
		"topics": func() error { return s.ChangeTopics(soon(t), lifecycle.Topics(1), 0) },
		"pause": func() error {
			return s.PauseJobs(soon(t), queue.Pause{Scope: queue.Scope{Organization: uuid.New()}, At: epoch})
		},
		"pause that is made anew": func() error {
			return s.PauseJobs(soon(t), queue.Pause{Scope: queue.Scope{Organization: paused}, At: epoch})
		},
		"end of a pause": func() error {
			_, err := s.ResumeJobs(soon(t), queue.Scope{Organization: paused})
			return err
		},
		"job": func() error {
			_, err := s.Enqueue(soon(t), epoch, []queue.Posting{{Type: "build"}})
			return err
		},
		"heartbeat": func() error {
			_, err := s.Heartbeat(soon(t), queue.Heartbeat{Process: uuid.New(), Now: epoch})
			return err
		},
	} {
		if err := write(); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err) || !strings.Contains(err.Error(), "a trigger ke") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Nobody is forgotten in part: where a trigger keeps something of theirs without a word, the call fails and has no effect.
func TestForgetBesideATriggerThatSaysNothing(t *testing.T) {
	s, pool := open(t)
	for what, on := range map[string]string{
		"job": "DELETE ON dormouse.jobs", "owner": "DELETE ON dormouse.owners", "hold": "UPDATE ON dormouse.workspaces",
		"template": "UPDATE ON dormouse.templates", "event": "UPDATE ON dormouse.events", "everything": "UPDATE ON dormouse.engine",
		"pause": "UPDATE ON dormouse.pauses",
	} {
		t.Run(what, func(t *testing.T) {
			exec(t, pool, letGoSQL)
			exec(t, pool, emptySQL)
			f := newFleet(t, s, 1)
			zoe := lifecycle.Owner{ID: uuid.New(), Name: "zoe"}
			must(t, s.PutOwner(t.Context(), epoch, zoe))
			hold := lifecycle.Hold{Rules: lifecycle.HoldAll, By: "zoe"}
			f.template.Revision, f.template.Hold = 1, hold
			must(t, s.PutTemplate(t.Context(), epoch, f.template))
			must(t, s.PutEngine(t.Context(), epoch, lifecycle.Engine{Hold: hold}))
			must(t, s.PauseJobs(t.Context(), queue.Pause{At: epoch, By: "zoe"}))
			c := wakeAt(load(t, s, f.ids...)[0], epoch)
			c.Workspace.Hold = hold
			c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: f.ids[0], Actor: "zoe"}}
			_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
			must(t, err)
			jobs, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{Type: "build", Tenant: zoe.ID}})
			must(t, err)
			_, err = s.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: jobIDs(jobs)})
			must(t, err)
			exec(t, pool, `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
			exec(t, pool, `CREATE TRIGGER host BEFORE `+on+` FOR EACH ROW EXECUTE FUNCTION keeps()`)
			read := dump(pool)
			before := read(t, s)
			p := store.Person{ID: zoe.ID, Names: []string{"zoe"}, Pseudonym: uuid.New()}
			if err := s.Forget(soon(t), p); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "a trigger ke") {
				t.Errorf("forget: %v", err)
			}
			if after := read(t, s); after != before {
				t.Errorf("it has an effect:\n%s\nwas\n%s", after, before)
			}
			exec(t, pool, letGoSQL)
			must(t, s.Forget(soon(t), p))
			if after := read(t, s); strings.Contains(after, "zoe") || strings.Contains(after, zoe.ID.String()) {
				t.Errorf("afterwards: %s", after)
			}
		})
	}
}

// A build or a deleted workspace that a trigger keeps from being pruned keeps no other from it, however few go in a call.
func TestPruningBesideATriggerOfTheHost(t *testing.T) {
	s, pool := open(t)
	for how, refusal := range refusals {
		for table, condition := range map[string]string{"builds": "old.workspace_id = '%s'", "workspaces": "old.id = '%s'"} {
			t.Run(table+" "+how, func(t *testing.T) {
				exec(t, pool, letGoSQL)
				exec(t, pool, emptySQL)
				f := newFleet(t, s, 3)
				exec(t, pool, `UPDATE dormouse.workspaces SET deleted = true, build_number = 2, build_id = gen_random_uuid(), build_status = 4,
					build_transition = 3, build_reason = '', build_version_id = gen_random_uuid(), build_completed_at = $1, wake_at = NULL`, epoch)
				if table == "builds" {
					exec(t, pool, `UPDATE dormouse.workspaces SET deleted = false`)
					exec(t, pool, `INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
						SELECT id, 1, gen_random_uuid(), gen_random_uuid(), 1, '', 4, $1 FROM dormouse.workspaces`, epoch)
				}
				exec(t, pool, hostTrigger("DELETE", table, fmt.Sprintf(condition, f.ids[0]), refusal))
				for _, want := range []int{1, 1, 0} {
					n, err := s.PruneBuilds(soon(t), epoch.Add(time.Hour), 1)
					must(t, err)
					if n != want {
						t.Errorf("pruned %d, want %d", n, want)
					}
				}
				exec(t, pool, letGoSQL)
				n, err := s.PruneBuilds(soon(t), epoch.Add(time.Hour), 1)
				must(t, err)
				if n != 1 || count(t, pool, table) != 0 {
					t.Errorf("afterwards pruned %d, want 1", n)
				}
			})
		}
	}
}

// Builds and deleted workspaces that a trigger keeps stay, and keep no others, however many they are and whether it says so.
func TestPruneBuildsBesideATriggerOfTheHost(t *testing.T) {
	s, pool := open(t)
	for how, refusal := range refusals {
		for table, kept := range map[string]string{"builds": "old.number <= 4", "workspaces": "old.name < 'w5'"} {
			t.Run(table+" "+how, func(t *testing.T) {
				exec(t, pool, emptySQL)
				f := newFleet(t, s, 7)
				if table == "builds" {
					exec(t, pool, `INSERT INTO dormouse.builds (workspace_id, number, id, version_id, transition, reason, status, completed_at)
						SELECT $1, n, gen_random_uuid(), gen_random_uuid(), 1, '', 4, $2::timestamptz + n * interval '1 second' FROM generate_series(1, 7) n`, f.ids[0], epoch)
				} else {
					exec(t, pool, `UPDATE dormouse.workspaces w SET name = 'w' || n, deleted = true, build_number = 3, build_id = gen_random_uuid(),
						build_version_id = gen_random_uuid(), build_transition = 3, build_status = 4, build_reason = '',
						build_completed_at = $1::timestamptz + n * interval '1 second'
						FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM dormouse.workspaces) r WHERE r.id = w.id`, epoch)
				}
				exec(t, pool, hostTrigger("DELETE", table, kept, refusal))
				for _, want := range []int{2, 1, 0} {
					n, err := s.PruneBuilds(soon(t), epoch.Add(time.Hour), 2)
					if err != nil || n != want {
						t.Errorf("pruned %d, %v, want %d", n, err, want)
					}
				}
				exec(t, pool, `DROP TRIGGER host ON dormouse.`+table+`; DROP FUNCTION keeps`)
				if n, err := s.PruneBuilds(soon(t), epoch.Add(time.Hour), 9); err != nil || n != 4 {
					t.Errorf("afterwards pruned %d, %v", n, err)
				}
			})
		}
	}
}
