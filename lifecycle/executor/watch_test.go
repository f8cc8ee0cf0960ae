package executor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// What people see of an executor: metrics, logs, errors of its configuration.

func TestMetrics(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	f.add(numbered(9, stopped(autostart("0 8 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute }))))
	r := prometheus.NewPedanticRegistry()
	e := f.executor(executor.Config{Registerer: r}, nil)
	zero := gathered(t, r)
	for _, series := range []string{
		`dormouse_transitions_total{reason="autostop",transition="stop"}`, `dormouse_ticks_total{result="error"}`,
		`dormouse_transitions_skipped_total{skip_reason="no_worker"}`,
	} {
		if v, ok := zero[series]; !ok || v != 0 {
			t.Errorf("%s is %v, %v at the start; want 0", series, v, ok)
		}
	}
	e.Tick(f.ctx, monday.Add(5*time.Minute))
	now := gathered(t, r)
	for series, want := range map[string]float64{
		`dormouse_transitions_total{reason="autostop",transition="stop"}`: 3,
		`dormouse_ticks_total{result="ok"}`:                               1,
		`dormouse_schedule_lag_seconds{transition="stop"}`:                3,
		`dormouse_tick_duration_seconds`:                                  1,
	} {
		if now[series] != want {
			t.Errorf("%s = %v, want %v", series, now[series], want)
		}
	}
	for series := range now {
		if strings.Contains(series, id(1).String()) {
			t.Errorf("%s: an id is a label", series)
		}
	}
	problems, err := testutil.GatherAndLint(r)
	f.must(err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Executors share a registry under different instances; one that has ended or was closed leaves it.
func TestInstances(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		r := prometheus.NewPedanticRegistry()
		_, stop := f.run(executor.Config{Registerer: r, Instance: "a", Precise: true}, nil)
		b, err := executor.New(f.store, executor.Config{Registerer: r, Logger: quiet, Instance: "b"})
		f.must(err)
		f.stoppedAt(1, time.Minute)
		b.Tick(f.ctx, start)
		series := func(instance string) string {
			return `dormouse_transitions_total{instance="` + instance + `",reason="autostop",transition="stop"}`
		}
		now := gathered(t, r)
		if now[series("a")] != 1 || now[series("b")] != 0 {
			t.Errorf("a made %v stops, the other one %v", now[series("a")], now[series("b")])
		}
		_, err = executor.New(f.store, executor.Config{Registerer: r, Instance: "a"})
		if err == nil || !strings.Contains(err.Error(), "need different Instances") {
			t.Errorf("a second executor of one instance: %v", err)
		}
		f.must(stop())
		b.Close()
		b.Close()
		if now := gathered(t, r); len(now) != 0 {
			t.Errorf("left behind: %v", now)
		}
		again, err := executor.New(f.store, executor.Config{Registerer: r, Instance: "a"})
		f.must(err)
		again.Close()
	})
}

// gathered is the value of every counter and gauge, and the count of every histogram, by name and labels.
func gathered(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.GetHistogram() != nil:
				values[name] = float64(m.GetHistogram().GetSampleCount())
			case m.GetCounter() != nil:
				values[name] = m.GetCounter().GetValue()
			default:
				values[name] = m.GetGauge().GetValue()
			}
		}
	}
	return values
}

func TestStatsOfTheLastTick(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(2)...)
	e := f.executor(executor.Config{}, nil)
	if s := e.Stats(); !s.At.IsZero() || s.Transitions != nil {
		t.Errorf("before the first tick: %+v", s)
	}
	ticked := e.Tick(f.ctx, monday)
	s := e.Stats()
	if !s.At.Equal(monday) || len(s.Transitions) != 2 {
		t.Errorf("after a tick: %+v", s)
	}
	clear(s.Transitions)
	if len(e.Stats().Transitions) != 2 || len(ticked.Transitions) != 2 {
		t.Error("what was read is not a copy")
	}
}

// One line for each executed decision, one for each new reason to skip; the keys are fixed.
func TestLogs(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(2)...)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e := f.executor(executor.Config{Logger: log, Builder: rejectedOne(2, func(context.Context) error { return errors.New("disk is full") })}, nil)
	for n := range 4 {
		e.Tick(f.ctx, monday.Add(time.Duration(n)*time.Hour))
	}
	lines := map[string][]map[string]any{}
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		f.must(json.Unmarshal([]byte(line), &m))
		msg := m["msg"].(string)
		lines[msg] = append(lines[msg], m)
	}
	done, skipped := lines["executor: transition queued"], lines["executor: transition skipped"]
	if len(done) != 1 || len(skipped) != 1 {
		t.Fatalf("%d lines of transitions, %d of skips; want 1 and 1\n%s", len(done), len(skipped), out.String())
	}
	wantKeys(t, done[0], "INFO", "build_number", "decided_at", "due_at", "lag", "reason", "transition", "workspace", "workspace_id")
	wantKeys(t, skipped[0], "WARN", "due_at", "error", "reason", "skip_reason", "transition", "workspace", "workspace_id")
}

func wantKeys(t *testing.T, line map[string]any, level string, keys ...string) {
	t.Helper()
	if line["level"] != level {
		t.Errorf("level %v, want %s", line["level"], level)
	}
	var got []string
	for k := range line {
		if k != "time" && k != "level" && k != "msg" {
			got = append(got, k)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, keys) {
		t.Errorf("keys %v, want %v", got, keys)
	}
}

func TestConfigErrors(t *testing.T) {
	f := newFleet(t)
	sink := func(context.Context, lifecycle.Event) error { return nil }
	for field, c := range map[string]struct {
		store lifecycle.Store
		cfg   executor.Config
	}{
		"store":                          {nil, executor.Config{}},
		"Config.Interval":                {f.store, executor.Config{Interval: -1}},
		"Config.Concurrency":             {f.store, executor.Config{Concurrency: -1}},
		"Config.PageSize":                {f.store, executor.Config{PageSize: -1}},
		"Config.BatchSize":               {f.store, executor.Config{BatchSize: -1}},
		"Config.CommitsInFlight":         {f.store, executor.Config{CommitsInFlight: -1}},
		"Config.MaxTransitions":          {f.store, executor.Config{MaxTransitions: -1}},
		"Config.MaxPerTemplate":          {f.store, executor.Config{MaxPerTemplate: -1}},
		"Config.BuildTimeout":            {f.store, executor.Config{BuildTimeout: -1}},
		"Config.RelayInterval":           {f.store, executor.Config{RelayInterval: -1}},
		"Config.DeliveryTimeout":         {f.store, executor.Config{DeliveryTimeout: -1}},
		"Config.ActivityFlush":           {f.store, executor.Config{ActivityFlush: -1}},
		"Config.Granularity":             {f.store, executor.Config{Granularity: 2 * time.Hour}},
		"Config.Precise":                 {bare{f.store}, executor.Config{Precise: true}},
		"Config.Retention":               {bare{f.store}, executor.Config{Retention: time.Hour}},
		"Config.MaxDeletions":            {bare{f.store}, executor.Config{MaxDeletions: 1}},
		"Config.MaxDeletionsPerTemplate": {bare{f.store}, executor.Config{MaxDeletionsPerTemplate: 1}},
		"Config.Settle":                  {bare{f.store}, executor.Config{Settle: time.Minute}},
		"Config.EventRetention":          {bare{f.store}, executor.Config{EventRetention: time.Hour}},
		"Config.Notifier":                {bare{f.store}, executor.Config{Notifier: sink}},
	} {
		_, err := executor.New(c.store, c.cfg)
		var bad *invalid.Error
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// shared divides the workspaces of a store among two replicas, of which one never ticks.
type shared struct {
	lifecycle.Store
	index, count int
}

func (s *shared) Shard(context.Context, time.Time, uuid.UUID, time.Duration) (lifecycle.Shard, error) {
	return lifecycle.Shard{Index: s.index, Count: s.count}, nil
}

// A replica does its own shard at once, and that of a dead one an interval later.
func TestADeadReplicasShard(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(40)...)
	e := f.executor(executor.Config{Interval: time.Minute}, &shared{f.store, 0, 2})
	own := 0
	for n := 1; n <= 40; n++ {
		if (lifecycle.Shard{Index: 0, Count: 2}).Holds(id(n)) {
			own++
		}
	}
	wantStats(t, e.Tick(f.ctx, monday), own, 0, 0)
	wantStats(t, e.Tick(f.ctx, monday.Add(time.Minute)), 40-own, 0, 0)
	if f.queued(40) != 40 {
		t.Errorf("%d stops in the end", f.queued(40))
	}
}

// What is overdue in the replica's own shard is read by both queries of a tick. It is evaluated once, though nothing is
// committed yet when the second query reads.
func TestOverdueInTheOwnShardIsEvaluatedOnce(t *testing.T) {
	for _, page := range []int{3, 7, 1000} {
		f := newFleet(t)
		f.add(dueStops(40)...)
		reads, asked := &counter{}, &counter{}
		bothRead := make(chan struct{})
		store := &hooked{Store: f.store}
		store.due = func() error { // one call at a time
			if reads.add("due"); reads.get("due") == 2 && page == 1000 {
				close(bothRead)
			}
			return nil
		}
		if page == 1000 { // the first page is the whole shard: nothing is committed before the second read
			store.commit = func([]lifecycle.Change) error { <-bothRead; return nil }
		}
		e := f.executor(executor.Config{PageSize: page, BatchSize: 4, Builder: executor.BuilderFunc(
			func(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
				asked.add(r.Snapshot.Workspace.ID.String())
				return executor.BuildSpec{}, nil
			})}, &shared{store, 1, 3})
		s := e.Tick(f.ctx, monday.Add(time.Hour))
		if wantStats(t, s, 40, 0, 0); s.Evaluated != 40 || s.Conflicts != 0 || f.queued(40) != 40 {
			t.Errorf("pages of %d: %d evaluated, %d conflicts", page, s.Evaluated, s.Conflicts)
		}
		for w, n := range asked.n {
			if n != 1 {
				t.Errorf("pages of %d: workspace %s was prepared %d times", page, w, n)
			}
		}
	}
}

func (f *fleet) undelivered() int {
	f.Helper()
	b, err := f.store.Backlog(f.ctx, time.Now())
	f.must(err)
	return b.Events
}

// Run prunes events that nobody received in time, but no job.
func TestRunPrunesEvents(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		refuse := func(context.Context, lifecycle.Event) error { return errors.New("not now") }
		registry := prometheus.NewRegistry()
		_, stop := f.run(executor.Config{
			Precise: true, Interval: 10 * time.Minute, EventRetention: 24 * time.Hour, Auditor: refuse, Poster: refuse, Registerer: registry,
		}, nil)
		f.stoppedAt(1, time.Minute)
		const given = `dormouse_events_delivered_total{result="pruned",topic="audit"}`
		time.Sleep(23 * time.Hour)
		if n, m := f.undelivered(), gathered(t, registry)[given]; n != 2 || m != 0 {
			t.Fatalf("%d events before the retention, %v pruned; want an entry of the audit log and a job, and none", n, m)
		}
		time.Sleep(3 * time.Hour)
		if n, m := f.undelivered(), gathered(t, registry)[given]; n != 1 || m != 1 {
			t.Errorf("%d events after the retention, %v pruned; want the job, and one", n, m)
		}
		f.must(stop())
	})
}

// Run deletes what is older than the retention.
func TestRunPrunes(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		e, stop := f.run(executor.Config{Precise: true, Interval: 10 * time.Minute, Retention: 24 * time.Hour}, nil)
		f.stoppedAt(1, time.Minute)
		s, err := e.Load(f.ctx, id(1))
		f.must(err)
		_, err = e.Update(f.ctx, id(1), lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded}))
		f.must(err)
		builds, err := f.store.Builds(f.ctx, id(1), 0, 10)
		f.must(err)
		if len(builds) != 2 {
			t.Fatalf("%d builds before the retention", len(builds))
		}
		time.Sleep(26 * time.Hour)
		builds, err = f.store.Builds(f.ctx, id(1), 0, 10)
		f.must(err)
		if len(builds) != 1 || builds[0].Number != 2 {
			t.Errorf("after the retention: %+v", builds)
		}
		f.must(stop())
	})
}

// Whoever ticks often, because something wakes it, asks for its shard once an interval: the answer is a write.
func TestTheShardIsAskedForOnceAnInterval(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(40)...)
	store := &changing{Store: f.store}
	e := f.executor(executor.Config{Interval: time.Minute, Granularity: time.Second}, store)
	for second := range 60 {
		wantStats(t, e.Tick(f.ctx, monday.Add(time.Duration(second-3600)*time.Second)), 0, 0, 0)
	}
	if store.asked != 1 {
		t.Errorf("asked %d times in a minute", store.asked)
	}
	e.Tick(f.ctx, monday.Add(-59*time.Minute))
	if store.asked != 2 {
		t.Errorf("asked %d times when the minute was over", store.asked)
	}
	e.Tick(f.ctx, monday.Add(-2*time.Hour)) // by a clock that went back
	if store.asked != 3 {
		t.Errorf("asked %d times when the clock had gone back", store.asked)
	}
	store.err = errors.New("out of reach")
	if s := e.Tick(f.ctx, monday); !errors.Is(s.Err, store.err) {
		t.Errorf("tick without a shard: %v", s.Err)
	}
	store.err = nil
	wantStats(t, e.Tick(f.ctx, monday), 40, 0, 0)
	if store.asked != 5 {
		t.Errorf("asked %d times after an error", store.asked)
	}
}

// changing counts how often it is asked for a shard, which is all there is.
type changing struct {
	lifecycle.Store
	asked int
	err   error
}

func (c *changing) Shard(context.Context, time.Time, uuid.UUID, time.Duration) (lifecycle.Shard, error) {
	c.asked++
	return lifecycle.Shard{}, c.err
}
