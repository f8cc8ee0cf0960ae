package standstill_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// refusing is a store that refuses a workspace, for those that have no constraints.
type refusing struct {
	registry
	refuse func(c *lifecycle.Change) bool
}

func (r refusing) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	for i := range changes {
		if r.refuse(&changes[i]) {
			return nil, errors.New("CHECK constraint failed: host_rule")
		}
	}
	return r.registry.Commit(ctx, now, changes)
}

// forbid has the database refuse what a condition does not hold for.
func (f *fleet) forbid(condition string, refuse func(c *lifecycle.Change) bool, args ...any) {
	switch f.kind {
	case "memory":
		f.store = refusing{f.store, refuse}
	case "postgres":
		f.exec(fmt.Sprintf(`ALTER TABLE dormouse.workspaces ADD CONSTRAINT host_rule CHECK (`+condition+`) NOT VALID`, args...))
	case "sqlite":
		f.exec(fmt.Sprintf(`CREATE TRIGGER host_rule BEFORE UPDATE ON dormouse_workspaces WHEN NOT (`+
			condition+`) BEGIN SELECT RAISE(ABORT, 'constraint failed: host_rule'); END`, args...))
	}
}

// sqlID is an id as the database writes it in a condition.
func (f *fleet) sqlID(id uuid.UUID) string {
	if f.kind == "sqlite" {
		return fmt.Sprintf("x'%x'", id[:])
	}
	return "'" + id.String() + "'"
}

func (f *fleet) col(name string) string {
	if f.kind == "sqlite" {
		return "NEW." + name
	}
	return name
}

// TestARefusedBuild: a constraint of the host takes no stop of the workspace, but its postponement.
func TestARefusedBuild(t *testing.T) {
	each(t, func(f *fleet) {
		f.forbid(f.col("id")+` <> %s OR `+f.col("build_number")+` < 2`, func(c *lifecycle.Change) bool { return c.Workspace.ID == f.culprit() && c.NewBuild }, f.sqlID(f.culprit()))
		f.run(executor.Config{}, nil, wanted{done: 299, why: "host_rule"})
	})
}

// TestARefusedRow: the host takes nothing at all of the workspace.
func TestARefusedRow(t *testing.T) {
	each(t, func(f *fleet) {
		refused := func(c *lifecycle.Change) bool { return c.Workspace.ID == f.culprit() }
		written := `revision < 3` // what is there already
		if f.kind == "sqlite" {
			written = `NEW.revision = OLD.revision`
		}
		f.forbid(f.col("id")+` <> %s OR `+written, refused, f.sqlID(f.culprit()))
		f.run(executor.Config{}, nil, wanted{done: 299, why: "host_rule"})
	})
}

// TestManyRefusedRows: the host refuses all but one.
func TestManyRefusedRows(t *testing.T) {
	each(t, func(f *fleet) {
		lucky := f.ids[211]
		f.forbid(f.col("id")+` = %s OR `+f.col("build_number")+` < 2`, func(c *lifecycle.Change) bool { return c.Workspace.ID != lucky && c.NewBuild }, f.sqlID(lucky))
		f.run(executor.Config{}, nil, wanted{done: 1, why: "host_rule"})
	})
}

// TestALockedRow: somebody has left a transaction open. SQLite has but one lock, for the whole database, which is waited for.
func TestALockedRow(t *testing.T) {
	each(t, func(f *fleet) {
		switch f.kind {
		case "memory":
			f.Skip("nobody else holds rows of the store in memory")
		case "sqlite":
			release := f.lock("")
			time.AfterFunc(time.Second, release)
			f.run(executor.Config{}, nil, wanted{done: 300})
		case "postgres":
			release := f.lock(`SELECT FROM dormouse.workspaces WHERE id = $1 FOR UPDATE`, f.culprit())
			defer release()
			f.run(executor.Config{}, func() { time.Sleep(1100 * time.Millisecond) }, wanted{done: 299, why: "locked"})
		}
	})
}

// TestALockedRowOfAChangedTemplate: waking the fleet passes over the row too.
func TestALockedRowOfAChangedTemplate(t *testing.T) {
	each(t, func(f *fleet) {
		if f.kind != "postgres" {
			f.Skip("rows are locked in PostgreSQL alone")
		}
		release := f.lock(`SELECT FROM dormouse.workspaces WHERE id = $1 FOR UPDATE`, f.culprit())
		defer release()
		f.template.Revision, f.template.Name = 1, "renamed"
		f.must(f.store.PutTemplate(f.Context(), f.now, f.template))
		f.run(executor.Config{}, func() { time.Sleep(1100 * time.Millisecond) }, wanted{done: 299, why: "locked"})
	})
}

// TestAnInfiniteInstant: a legal hold, for ever.
func TestAnInfiniteInstant(t *testing.T) {
	each(t, func(f *fleet) {
		if f.kind != "postgres" {
			f.Skip("only PostgreSQL knows infinity")
		}
		f.exec(`UPDATE dormouse.workspaces SET hold_until = 'infinity', hold_rules = $2 WHERE id = $1`, f.culprit(), int16(lifecycle.HoldStops))
		f.run(executor.Config{}, nil, wanted{done: 299, why: "9999", quiet: true})
		x, err := executor.NewClient(f.store, executor.ClientConfig{})
		f.must(err)
		explained, err := x.Explain(f.Context(), f.culprit())
		if f.must(err); explained.Rules[lifecycle.RuleAutostop-1].Verdict != lifecycle.VerdictHeld {
			f.Errorf("explained: %+v", explained.Rules[lifecycle.RuleAutostop-1])
		}
	})
}

// TestAnUnreadableSchedule: garbage in a column, which even its own workspace is stopped in spite of.
func TestAnUnreadableSchedule(t *testing.T) {
	each(t, func(f *fleet) {
		if f.kind == "memory" {
			f.Skip("nobody writes garbage into the store in memory")
		}
		f.exec(`UPDATE dormouse.workspaces SET autostart = 'whenever' WHERE id = $1`, f.culprit())
		f.run(executor.Config{}, nil, wanted{done: 300, why: "whenever", quiet: true})
	})
}

// builder builds all but the one in the way, for which it does something else.
func (f *fleet) builder(do func(ctx context.Context) error) executor.Builder {
	return executor.BuilderFunc(func(ctx context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
		if r.Snapshot.Workspace.ID == f.culprit() {
			return executor.BuildSpec{}, do(ctx)
		}
		return executor.BuildSpec{}, nil
	})
}

// hang returns when the test has ended.
func hang(t *testing.T) { <-t.Context().Done() }

// TestABuilderThat fails, panics, hangs, or hangs whatever its context says.
func TestABuilderThat(t *testing.T) {
	for name, c := range map[string]struct {
		do  func(ctx context.Context) error
		why string
	}{
		"fails":               {func(context.Context) error { return errors.New("no such image") }, "no such image"},
		"panics":              {func(context.Context) error { panic("boom") }, "boom"},
		"hangs":               {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "took longer than 1s"},
		"ignores its context": {func(context.Context) error { hang(t); return nil }, "nor when its context ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(f *fleet) {
				f.run(executor.Config{Builder: f.builder(c.do), BuildTimeout: time.Second}, nil, wanted{done: 299, why: c.why})
			})
		})
	}
}

// TestAHangingVersion: the workspace in the way has a version of its own, which cannot be prepared.
func TestAHangingVersion(t *testing.T) {
	each(t, func(f *fleet) {
		found, err := f.store.Load(f.Context(), f.culprit())
		f.must(err)
		c := lifecycle.Change{Revision: found[0].Workspace.Revision, Workspace: found[0].Workspace, Build: found[0].Build, NewBuild: true}
		c.Build.ID, c.Build.Number, c.Build.TemplateVersionID = uuid.Must(uuid.NewV7()), 2, uuid.New()
		_, err = f.store.Commit(f.Context(), f.now, []lifecycle.Change{c})
		f.must(err)
		f.run(executor.Config{Builder: preparing{c.Build.TemplateVersionID}, BuildTimeout: time.Second, PageSize: 20}, nil,
			wanted{done: 299, why: "took longer than 1s"})
	})
}

// preparing is a builder that cannot prepare a version.
type preparing struct{ hangs uuid.UUID }

func (p preparing) Prepare(ctx context.Context, g executor.Group) (executor.Preparation, error) {
	if g.TemplateVersionID == p.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return executor.BuilderFunc(func(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
		return executor.BuildSpec{}, nil
	}), nil
}

// TestAHangingSink: whoever receives the notices hangs and ignores its context; the audit log receives all of its own.
func TestAHangingSink(t *testing.T) {
	each(t, func(f *fleet) {
		audited := make(chan uuid.UUID, 10*fleetSize)
		f.run(executor.Config{
			DeliveryTimeout: time.Second,
			Poster:          func(context.Context, lifecycle.Event) error { hang(f.T); return nil },
			Auditor:         func(_ context.Context, e lifecycle.Event) error { audited <- e.WorkspaceID; return nil },
		}, func() {
			deadline := time.After(patience)
			for n := range fleetSize {
				select {
				case <-audited:
				case <-deadline:
					f.Fatalf("%d of %d entries of the audit log within %v", n, fleetSize, patience)
				}
			}
			for !f.logs.has("call given up", "deliver event") {
				select {
				case <-deadline:
					f.Fatal("the log does not name the call that hangs")
				case <-time.After(50 * time.Millisecond):
				}
			}
		}, wanted{done: 300})
	})
}

// TestASinkThatHangsForMany: whoever receives the audit log hangs for all that a tick did; what somebody else does then is received
// when a place is free, not when all of them have had their turn.
func TestASinkThatHangsForMany(t *testing.T) {
	each(t, func(f *fleet) {
		const timeout = 5 * time.Second // of ten at once: one after the other they would take longer than a test waits
		newcomer := uuid.New()
		received := make(chan struct{}, 1)
		hanging := make(chan struct{}, 10*fleetSize)
		f.run(executor.Config{DeliveryTimeout: timeout, RelayInterval: time.Second, Auditor: func(ctx context.Context, e lifecycle.Event) error {
			if e.WorkspaceID == newcomer {
				received <- struct{}{}
				return nil
			}
			hanging <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}, func() {
			<-hanging
			found, err := f.store.Load(f.Context(), f.ids[0])
			f.must(err)
			w := found[0].Workspace
			w.ID, w.Name = newcomer, "newcomer"
			f.must(f.store.CreateWorkspaces(f.Context(), f.now, w))
			c, err := executor.NewClient(f.store, executor.ClientConfig{Topics: []lifecycle.Topic{lifecycle.TopicAudit}})
			f.must(err)
			_, err = c.Update(f.Context(), newcomer, lifecycle.SetAutomaticUpdates(true))
			f.must(err)
			select {
			case <-received:
			case <-time.After(patience):
				f.Errorf("not received within %v", patience)
			}
		}, wanted{done: 300})
	})
}

// TestRefusedActivity: the store refuses to take the activity of somebody, and the ticks go on.
func TestRefusedActivity(t *testing.T) {
	each(t, func(f *fleet) {
		busy := f.ids[5]
		found, err := f.store.Load(f.Context(), busy)
		f.must(err)
		c := lifecycle.Change{Revision: found[0].Workspace.Revision, Workspace: found[0].Workspace}
		c.Workspace.WakeAt = f.now.Add(time.Hour)
		_, err = f.store.Commit(f.Context(), f.now, []lifecycle.Change{c})
		f.must(err)
		f.forbid(f.col("id")+` <> %s`, func(c *lifecycle.Change) bool { return c.Workspace.ID == busy }, f.sqlID(busy))
		e, err := executor.New(f.store, executor.Config{Logger: f.logs.logger()})
		f.must(err)
		e.Activity(busy, time.Now())
		f.must(e.FlushActivity(f.Context()))
		if s := e.Tick(f.Context(), f.now); s.Err != nil || len(s.Transitions) != 299 {
			f.Errorf("%d transitions, %v", len(s.Transitions), s.Err)
		}
		if !f.logs.has(busy.String(), "activity dropped") {
			f.Error("the log does not name it")
		}
	})
}

// TestASlowRow: a trigger of the host takes its time over one workspace. What goes with it waits for it, and no more; one that takes longer
// than a call of the store may is in nobody's way either.
func TestASlowRow(t *testing.T) {
	for what, c := range map[string]struct {
		takes string
		want  wanted
	}{
		"slow":     {"1.5", wanted{done: 300}},
		"too slow": {"60", wanted{done: 299, why: "took longer"}},
	} {
		t.Run(what, func(t *testing.T) {
			each(t, func(f *fleet) {
				if f.kind != "postgres" {
					f.Skip("no other store has triggers that take time")
				}
				f.exec(`CREATE FUNCTION host_rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(` + c.takes + `); RETURN new; END $$`)
				f.exec(fmt.Sprintf(`CREATE TRIGGER host_rule BEFORE UPDATE ON dormouse.workspaces FOR EACH ROW
					WHEN (new.id = '%s' AND new.build_number > 1) EXECUTE FUNCTION host_rule()`, f.culprit()))
				f.run(executor.Config{StoreTimeout: 20 * time.Second}, nil, c.want)
			})
		})
	}
}
