package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// answering is a store whose commits a test answers, as long as it wants to.
type answering struct {
	*memory.Store
	answer func(changes []lifecycle.Change) (outcomes []lifecycle.Outcome, answered bool)
}

func (a *answering) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if outcomes, answered := a.answer(changes); answered {
		return outcomes, nil
	}
	return a.Store.Commit(ctx, now, changes)
}

// What a store says of a commit beside "applied" is the error of an update: a name that is taken, or an answer that is none.
func TestWhatACommitOfAnUpdateSays(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []lifecycle.Outcome
		is       error
		says     string
	}{
		"taken":  {[]lifecycle.Outcome{lifecycle.NameTaken}, lifecycle.ErrNameTaken, id(1).String()},
		"none":   {nil, nil, "store reported 0 outcomes"},
		"two":    {[]lifecycle.Outcome{lifecycle.Applied, lifecycle.Applied}, nil, "store reported 2 outcomes"},
		"always": {[]lifecycle.Outcome{lifecycle.Conflict}, executor.ErrConflict, id(1).String()},
	} {
		bubble(t, func(f *fleet, _ time.Time) {
			f.add(numbered(1, stopped()))
			store := &answering{f.store, func([]lifecycle.Change) ([]lifecycle.Outcome, bool) { return c.outcomes, true }}
			_, err := f.executor(executor.Config{}, store).Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: error %v", name, err)
			}
		})
	}
}

// An update waits about a second each time for whoever holds the row: what somebody has changed in between begins it anew.
func TestAnUpdateWaitsForEachHolder(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(time.Hour))
		changed := false
		store := &answering{Store: f.store, answer: func([]lifecycle.Change) ([]lifecycle.Outcome, bool) {
			held := time.Since(start) < 1600*time.Millisecond
			if !changed && time.Since(start) > 800*time.Millisecond {
				changed = true
				f.commit(lifecycle.Rearm(f.load(1), time.Now().UTC().Truncate(us)))
			}
			return []lifecycle.Outcome{lifecycle.Conflict}, held
		}}
		_, err := f.executor(executor.Config{}, store).Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
		f.must(err)
		if !f.load(1).Workspace.AutomaticUpdates {
			t.Error("nothing was written")
		}
	})
}

// An update whose context ends while it waits for a row says that.
func TestAnUpdateWhoseContextEnds(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(time.Hour))
		ctx, cancel := context.WithTimeout(f.ctx, 100*time.Millisecond)
		defer cancel()
		_, err := f.executor(executor.Config{}, &lockedRow{Store: f.store, id: id(1)}).Update(ctx, id(1), lifecycle.SetAutomaticUpdates(true))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrConflict) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// An apply whose workspaces keep changing gives up, and has counted what it did.
func TestApplyAgainstChangesWithoutEnd(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 3; n++ {
		f.add(numbered(n, stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))))
	}
	e := f.executor(executor.Config{}, &hooked{Store: f.store, commit: func([]lifecycle.Change) error {
		s := f.load(2)
		s.Workspace.Name += "x"
		f.commit(lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, Build: s.Build})
		return nil
	}})
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
	f.must(err)
	done, err := e.Apply(f.ctx, plan, nil)
	if !errors.Is(err, executor.ErrConflict) || done.Done || done.Applied != 2 {
		t.Errorf("error %v, done %t, applied %d", err, done.Done, done.Applied)
	}
}

// catalog is a store that has workspaces and templates, and nothing else.
type catalog struct {
	lifecycle.Store
	lifecycle.Registry
	put func() error
}

func (c catalog) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	if err := c.put(); err != nil {
		return err
	}
	return c.Registry.PutTemplate(ctx, now, t)
}

// A policy is put over the template as it is, again if that has changed meanwhile, also into a store that records nothing. What
// changes without end, and what cannot be put, ends the plan before a workspace follows it.
func TestAPolicyIsPut(t *testing.T) {
	for name, c := range map[string]struct {
		errs []error
		want error
	}{
		"at once":     {},
		"in the end":  {errs: []error{lifecycle.ErrStaleTemplate, lifecycle.ErrStaleTemplate}},
		"not at all":  {errs: []error{errBroken}, want: errBroken},
		"without end": {errs: stale(100), want: executor.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(numbered(1, stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))))
			errs := c.errs
			client, err := executor.NewClient(catalog{f.store, f.store, func() (err error) {
				if len(errs) > 0 {
					err, errs = errs[0], errs[1:]
				}
				return err
			}}, executor.ClientConfig{Clock: f.clock, Logger: quiet})
			f.must(err)
			plan, err := client.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
			f.must(err)
			done, err := client.Apply(f.ctx, plan, nil)
			if !errors.Is(err, c.want) || done.Done != (c.want == nil) || done.Put != (c.want == nil) {
				t.Errorf("error %v, done %t, put %t", err, done.Done, done.Put)
			}
			if s := f.load(1); s.Workspace.DeletingAt.Equal(monday.Add(3*day)) != (c.want == nil) {
				t.Errorf("deleted at %v", s.Workspace.DeletingAt)
			}
		})
	}
}

func stale(n int) (all []error) {
	for range n {
		all = append(all, lifecycle.ErrStaleTemplate)
	}
	return all
}

// A canceled tick puts no workspace off: what it could not commit stays due, and nobody is said to be at fault.
func TestACanceledTickBlamesNobody(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 30; n++ {
			f.addDue(n, start)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		e := f.executor(executor.Config{}, &hooked{Store: f.store, commit: func([]lifecycle.Change) error {
			cancel()
			return errBroken // in words of its own
		}})
		s := e.Tick(ctx, start.Add(time.Minute))
		if !errors.Is(s.Err, context.Canceled) && !errors.Is(s.Err, errBroken) || len(s.Errors)+len(s.Skipped) != 0 || s.Left != 30 {
			t.Errorf("error %v, %d errors, %d skipped, %d left", s.Err, len(s.Errors), len(s.Skipped), s.Left)
		}
		wantStats(t, f.executor(executor.Config{}, nil).Tick(f.ctx, start.Add(time.Minute)), 30, 0, 0)
	})
}

// A view says of a failing store what the client says, and nothing of workspaces that are not its own.
func TestAViewOfAFailingStore(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	store := &hooked{Store: f.store, load: func() error { return errBroken }}
	c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet})
	f.must(err)
	for _, organization := range []uuid.UUID{uuid.New(), f.load(1).Workspace.OrganizationID} {
		v := c.Within(organization)
		_, load := v.Load(f.ctx, id(1))
		_, explain := v.Explain(f.ctx, id(1))
		_, update := v.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
		for what, err := range map[string]error{"load": load, "explain": explain, "update": update} {
			if !errors.Is(err, errBroken) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	store.load = nil
	foreign, own := c.Within(uuid.New()), c.Within(f.load(1).Workspace.OrganizationID)
	if s, err := foreign.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true)); !errors.Is(err, lifecycle.ErrNotFound) || s.Workspace.ID != uuid.Nil || f.load(1).Workspace.AutomaticUpdates {
		t.Errorf("a foreign workspace: %v, error %v", s.Workspace.ID, err)
	}
	if s, err := own.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true)); err != nil || !s.Workspace.AutomaticUpdates {
		t.Errorf("its own: error %v", err)
	}
	if s, err := own.Load(f.ctx, id(1)); err != nil || s.Workspace.ID != id(1) {
		t.Errorf("its own: %v, error %v", s.Workspace.ID, err)
	}
}
