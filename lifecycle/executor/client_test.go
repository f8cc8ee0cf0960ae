package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// client over the fleet's store.
func (f *fleet) client(cfg executor.ClientConfig) *executor.Client {
	f.Helper()
	if f.clock != nil {
		cfg.Clock = f.clock
	}
	cfg.Logger = quiet
	c, err := executor.NewClient(f.store, cfg)
	f.must(err)
	return c
}

// A process that only answers people writes the events of its changes, for the executor of another process to deliver.
func TestClientWritesEventsForAnotherProcess(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()), numbered(2, stopped()))
	audit, posts := &inbox{}, &inbox{}
	e := f.executor(executor.Config{Auditor: audit.receive, Poster: posts.receive}, nil)
	start := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)

	c := f.client(executor.ClientConfig{Topics: []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicPost}})
	s, err := c.Update(f.ctx, id(1), start)
	f.must(err)
	f.relay(e, 2)
	a, p := audit.take(), posts.take()
	if len(a) != 1 || a[0].Kind != lifecycle.EventBuildQueued || len(p) != 1 || p[0].Job == nil || p[0].Job.ID != s.Build.ID {
		t.Errorf("audit received %+v, the poster %+v", a, p)
	}
	if n := len(f.jobs()); n != 0 {
		t.Errorf("%d jobs in the store's queue, though a process posts them", n)
	}

	alone := f.client(executor.ClientConfig{})
	_, err = alone.Update(f.ctx, id(2), start)
	f.must(err)
	f.relay(e, 0)
	if n := len(f.jobs()); n != 1 {
		t.Errorf("%d jobs in the store's queue, want that of the client without topics", n)
	}
}

// An executor without a sink of its own writes the events of topics that another process receives.
func TestExecutorWritesEventsForAnotherProcess(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	audit := &inbox{}
	ticks := f.executor(executor.Config{Topics: []lifecycle.Topic{lifecycle.TopicAudit}}, nil)
	receives := f.executor(executor.Config{Auditor: audit.receive}, nil)
	wantStats(t, ticks.Tick(f.ctx, monday), 1, 0, 0)
	f.relay(ticks, 0)
	f.relay(receives, 1)
}

// A client that runs writes activity by time, and what is left when it ends.
func TestClientRun(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		c := f.client(executor.ClientConfig{ActivityFlush: 10 * time.Second})
		ctx, cancel := context.WithCancel(f.ctx)
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(time.Second)
		first := time.Now().UTC()
		c.Activity(id(1), first)
		time.Sleep(10 * time.Second)
		if at := f.load(1).Workspace.LastUsedAt; !at.Equal(first.Truncate(us)) {
			t.Errorf("after the interval: last used %v, want %v", at, first)
		}
		last := time.Now().UTC()
		c.Activity(id(1), last)
		if err := c.Run(ctx); !errors.Is(err, executor.ErrAlreadyRun) {
			t.Errorf("a second Run: %v", err)
		}
		cancel()
		f.must(<-ended)
		if at := f.load(1).Workspace.LastUsedAt; !at.Equal(last.Truncate(us)) {
			t.Errorf("after the end: last used %v, want %v", at, last)
		}
		if err := c.Run(f.ctx); !errors.Is(err, executor.ErrAlreadyRun) {
			t.Errorf("a Run after the first: %v", err)
		}
	})
}

// A client whose store fails at the end returns all the same.
func TestClientRunEndsThoughTheStoreFails(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		store := &hooked{Store: f.store, load: func() error { return lifecycle.ErrUnavailable }}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet})
		f.must(err)
		c.Activity(id(1), start)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		f.must(c.Run(ctx))
	})
}

// A change through the executor's client wakes a precise Run; a lone client wakes nobody and does not block.
func TestClientOfAnExecutor(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		e, stop := f.run(executor.Config{Precise: true, Interval: time.Hour}, unwatched{f.store, f.store})
		_, err := e.Client.Update(f.ctx, id(1), lifecycle.SetDeadline(start.Add(29*time.Minute)))
		f.must(err)
		time.Sleep(29*time.Minute - time.Second)
		if at := f.stoppedAt(1, 2*time.Second); at.Sub(start) > 29*time.Minute+50*time.Millisecond {
			t.Errorf("stopped after %v", at.Sub(start))
		}
		f.must(stop())
	})
}

func TestClientConfigErrors(t *testing.T) {
	f := newFleet(t)
	for field, c := range map[string]struct {
		store lifecycle.Store
		cfg   executor.ClientConfig
	}{
		"store":                      {nil, executor.ClientConfig{}},
		"ClientConfig.BuildTimeout":  {f.store, executor.ClientConfig{BuildTimeout: -1}},
		"ClientConfig.ActivityFlush": {f.store, executor.ClientConfig{ActivityFlush: -1}},
		"ClientConfig.BatchSize":     {f.store, executor.ClientConfig{BatchSize: -1}},
		"ClientConfig.PageSize":      {f.store, executor.ClientConfig{PageSize: -1}},
		"ClientConfig.Topics":        {bare{f.store}, executor.ClientConfig{Topics: lifecycle.AllTopics.List()}},
	} {
		_, err := executor.NewClient(c.store, c.cfg)
		var bad *invalid.Error
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := executor.NewClient(f.store, executor.ClientConfig{Topics: []lifecycle.Topic{9}}); !errors.Is(err, invalid.Err) {
		t.Errorf("an unknown topic: %v", err)
	}
}

// A client counts the builds it makes, under its own instance, until it is closed.
func TestClientMetrics(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	r := prometheus.NewPedanticRegistry()
	c := f.client(executor.ClientConfig{Registerer: r, Instance: "api"})
	_, err := c.Update(f.ctx, id(1), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	f.must(err)
	if n := gathered(t, r)[`dormouse_transitions_total{instance="api",reason="manual",transition="start"}`]; n != 1 {
		t.Errorf("%v manual starts", n)
	}
	f.executor(executor.Config{Registerer: r, Instance: "ticks"}, nil) // side by side
	c.Close()
	c.Close()
	if _, ok := gathered(t, r)[`dormouse_transitions_total{instance="api",reason="manual",transition="start"}`]; ok {
		t.Error("a closed client is still registered")
	}
}

// A verb of a host that records a build which is over gets no job for it.
func TestUpdateQueuesNoJobForWhatIsOver(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	e := f.executor(executor.Config{}, nil)
	over := func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, now)
		c.Build.Status, c.Build.CompletedAt = lifecycle.JobSucceeded, now
		return c, err
	}
	got, err := e.Update(f.ctx, id(1), over)
	f.must(err)
	if jobs, err := f.store.Jobs(f.ctx, queue.Filter{Limit: 10}); err != nil || len(jobs) != 0 {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	if stored := f.load(1); got.Build.ID == uuid.Nil || stored.Build != got.Build {
		t.Errorf("returned %+v, stored %+v", got.Build, stored.Build)
	}
}
