package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What a client does within a transaction is announced with its commit, and not before.
func TestOverAnnouncesWithTheCommit(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	var queued []lifecycle.Job
	c := f.client(executor.ClientConfig{Queued: func(jobs []lifecycle.Job) { queued = append(queued, jobs...) }})
	over, committed := c.Over(f.store)
	_, err := over.Update(f.ctx, id(1), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	f.must(err)
	if len(queued) != 0 {
		t.Errorf("%d jobs are announced before the commit", len(queued))
	}
	committed()
	if len(queued) != 1 || queued[0].WorkspaceID != id(1) {
		t.Errorf("announced with the commit: %+v", queued)
	}
}

// A catalog that fails is the error of a plan and of its application, whichever of its calls it is.
func TestPlanWhileTheStoreFails(t *testing.T) {
	for what, fail := range map[string]failingCatalog{
		"template": {template: errBroken}, "list": {list: errBroken},
	} {
		f := newFleet(t)
		f.add(numbered(1, stopped()))
		change := lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilDormant: 90 * day}}
		fail.Store = f.store
		broken, err := executor.NewClient(&fail, executor.ClientConfig{Logger: quiet})
		f.must(err)
		if _, err := broken.Plan(f.ctx, id(0xff), change); !errors.Is(err, errBroken) {
			t.Errorf("plan, %s: error %v", what, err)
		}
		plan, err := f.client(executor.ClientConfig{}).Plan(f.ctx, id(0xff), change)
		f.must(err)
		if done, err := broken.Apply(f.ctx, plan, nil); !errors.Is(err, errBroken) || done.Done {
			t.Errorf("apply, %s: done %v, error %v", what, done.Done, err)
		}
	}
}

type failingCatalog struct {
	*memory.Store
	template, list error
}

func (s *failingCatalog) Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error) {
	if s.template != nil {
		return lifecycle.Template{}, false, s.template
	}
	return s.Store.Template(ctx, id)
}

func (s *failingCatalog) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	if s.list != nil {
		return nil, s.list
	}
	return s.Store.List(ctx, q)
}

// Nobody explains what is not theirs.
func TestViewExplainsItsOwn(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	c := f.client(executor.ClientConfig{})
	if x, err := c.Within(uuid.New()).Explain(f.ctx, id(1)); !errors.Is(err, lifecycle.ErrNotFound) || len(x.Rules) != 0 {
		t.Errorf("a foreign workspace: %+v, error %v", x, err)
	}
	x, err := c.Within(f.load(1).Workspace.OrganizationID).Explain(f.ctx, id(1))
	f.must(err)
	if len(x.Rules) == 0 {
		t.Errorf("one of its own is not explained: %+v", x)
	}
}

// What a tick cannot tell the store is in the log; that it was canceled is nobody's error.
func TestWhatTicksLog(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	log := &logs{}
	store := &deafStore{Store: f.store}
	e, err := executor.New(store, executor.Config{Logger: log.logger(), Settle: time.Minute, Auditor: (&inbox{}).receive})
	f.must(err)
	canceled, cancel := context.WithCancel(f.ctx)
	cancel()
	if s := e.Tick(canceled, monday); !errors.Is(s.Err, context.Canceled) {
		t.Errorf("a canceled tick: %v", s.Err)
	}
	if n := log.count("level=ERROR"); n != 0 {
		t.Errorf("%d errors in the log of a canceled tick", n)
	}
	store.deaf = true
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	if n := log.count("level=WARN", "subscribe to topics"); n != 1 {
		t.Errorf("%d warnings that the store does not know the topics", n)
	}
}

// deafStore takes no topics.
type deafStore struct {
	*memory.Store
	deaf bool
}

func (s *deafStore) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	if s.deaf {
		return errBroken
	}
	return s.Store.ChangeTopics(ctx, add, remove)
}

// A store that counts nothing has metrics like any other, without the backlog.
func TestMetricsOfAStoreThatCountsNothing(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	registry := prometheus.NewPedanticRegistry()
	e := f.executor(executor.Config{Registerer: registry}, bare{f.store})
	defer e.Close()
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}
