package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// A builder that hangs is called until 3 calls of a workspace, 25 of a version, and 100 of all have not returned: what hangs holds a
// goroutine each. Other workspaces and other versions go on, and the errors name what was called.
func TestHangingBuildsAreBounded(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		add := func(n, version int) { f.add(versioned(version, numbered(n, running()))) }
		release, calls := make(chan struct{}), &counter{}
		c, err := executor.NewClient(f.store, executor.ClientConfig{
			Logger: quiet, BuildTimeout: time.Second,
			Builder: executor.BuilderFunc(func(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
				if version := r.Build.TemplateVersionID; version != id(0xf009) {
					calls.add("all")
					calls.add(version.String())
					calls.add(r.Snapshot.Workspace.ID.String())
					<-release
				}
				return executor.BuildSpec{}, nil
			}),
		})
		f.must(err)
		stop := func(n int) error {
			_, err := c.Update(f.ctx, id(n), lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil))
			return err
		}
		refused := func(what string, err error, says string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want %q", what, err, says)
			}
		}
		add(1, 1)
		for range 3 {
			refused("one", stop(1), "build 2 of workspace "+id(1).String()+": did not return within 1s")
		}
		refused("one too often", stop(1), `not called: 3 calls of "build 2 of workspace `+id(1).String()+`" have not returned`)

		for n := 2; n <= 90; n++ {
			add(n, 1+n%3)
			err = stop(n)
		}
		refused("one of three versions", err, `not called: 25 calls of "version `)
		for version := 1; version <= 3; version++ {
			if n := calls.get(id(0xf000 + version).String()); n != 25 {
				t.Errorf("version %d was called %d times", version, n)
			}
		}
		add(91, 9)
		f.must(stop(91))

		for n := 92; n <= 120; n++ {
			add(n, n)
			err = stop(n)
		}
		refused("one of many versions", err, `build 2 of workspace `+id(120).String()+`: not called: 100 calls of "prepare a build" have not returned`)
		if n := calls.get("all"); n != 100 {
			t.Errorf("called %d times", n)
		}
		close(release)
		synctest.Wait()
		f.must(stop(1))
		f.must(stop(120))
	})
}

// A receiver that hangs for one event is called for it three times, and for events of a topic until a hundred hang; other topics go on.
func TestHangingReceiversAreBounded(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		const workspaces = 130
		for n := 1; n <= workspaces; n++ {
			f.addDue(n, start)
		}
		release, audits, notices := make(chan struct{}), &counter{}, &counter{}
		_, stop := f.run(executor.Config{
			Precise: true, Concurrency: 4, DeliveryTimeout: time.Second,
			Auditor: func(_ context.Context, e lifecycle.Event) error {
				audits.add("all")
				audits.add(e.Key())
				<-release
				return nil
			},
			Poster: func(_ context.Context, e lifecycle.Event) error { notices.add(e.WorkspaceID.String()); return nil },
		}, nil)
		time.Sleep(2 * time.Hour)
		if n := audits.get("all"); n < 100 || n > 100+4 { // as many as it has places may be under way
			t.Errorf("called %d times", n)
		}
		for n := 1; n <= workspaces; n++ {
			if notices.get(id(n).String()) != 1 {
				t.Errorf("another topic's event of %d was received %d times", n, notices.get(id(n).String()))
			}
		}
		for key, n := range audits.n {
			if key != "all" && n > 3 {
				t.Errorf("%s was tried %d times", key, n)
			}
		}
		err := stop()
		if n := strings.Count(fmt.Sprint(err), "deliver event "); n < 34 {
			t.Errorf("Run names %d events: %v", n, err)
		}
		close(release)
	})
}

// A commit that was given up has its changes for itself until it returns: later ticks fill other batches.
func TestACommitThatWasGivenUpKeepsItsChanges(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		f.addDue(2, start)
		release, same := make(chan struct{}), make(chan bool)
		var hung atomic.Bool
		store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
			if hung.Swap(true) {
				return nil
			}
			before := slices.Clone(changes)
			<-release
			same <- slices.EqualFunc(before, changes, func(a, b lifecycle.Change) bool { return a.Workspace == b.Workspace })
			return errBroken
		}}
		e := f.executor(executor.Config{StoreTimeout: time.Second}, store)
		if s := e.Tick(f.ctx, start); !errors.Is(s.Err, lifecycle.ErrUnavailable) {
			t.Fatalf("the tick returns %v", s.Err)
		}
		wantStats(t, e.Tick(f.ctx, start), 2, 0, 0)
		close(release)
		if !<-same {
			t.Error("the changes of a commit under way are others")
		}
	})
}
