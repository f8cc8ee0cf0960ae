package executor_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What operators read: metrics of what goes wrong, and the lines that tell of it once.

// counted is a store that says what waits in it.
type counted struct {
	*memory.Store
	backlog lifecycle.Backlog
	err     error
	asked   int
}

func (c *counted) Backlog(context.Context, time.Time) (lifecycle.Backlog, error) {
	c.asked++
	return c.backlog, c.err
}

// What waits in the store is counted every 15 seconds at most, whoever ticks how often, and only if somebody reads it. While it cannot
// be counted, the last count stands.
func TestTheBacklogIsCounted(t *testing.T) {
	f := newFleet(t)
	store := &counted{Store: f.store, backlog: lifecycle.Backlog{Due: 7, Events: 9}}
	log := &logs{}
	registry := prometheus.NewRegistry()
	e := f.executor(executor.Config{Registerer: registry, Logger: log.logger()}, store)
	check := func(due, events float64) {
		t.Helper()
		now := gathered(t, registry)
		if now["dormouse_overdue_workspaces"] != due || now["dormouse_outbox_events"] != events {
			t.Errorf("%v overdue, %v events", now["dormouse_overdue_workspaces"], now["dormouse_outbox_events"])
		}
	}
	for second := range 61 {
		f.clock.Set(monday.Add(time.Duration(second) * time.Second))
		e.Tick(f.ctx, monday)
	}
	check(7, 9)
	if store.asked != 5 {
		t.Errorf("counted %d times in a minute", store.asked)
	}
	store.err = errBroken
	f.clock.Set(monday.Add(2 * time.Minute))
	e.Tick(f.ctx, monday)
	check(7, 9)
	if n := log.count("level=WARN", "count what waits"); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
	store.asked = 0
	f.executor(executor.Config{}, store).Tick(f.ctx, monday)
	if store.asked != 0 {
		t.Error("counted though nobody reads it")
	}
}

// While the store is left alone because it hung, the last count stands, too.
func TestTheBacklogOfAStoreThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.waiting(1, 3)
		store := &sticky{Store: f.store, method: "count what waits", heeds: true, works: true}
		registry := prometheus.NewRegistry()
		e := f.executor(executor.Config{Registerer: registry}, store)
		defer e.Close()
		e.Tick(f.ctx, start)
		store.works = false
		for range 10 {
			time.Sleep(20 * time.Second)
			e.Tick(f.ctx, start)
			if n := gathered(t, registry)["dormouse_outbox_events"]; n != 3 {
				t.Errorf("%v events", n)
			}
		}
	})
}

// A tick's metrics say what its Stats say.
func TestMetricsOfWhatGoesWrong(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(10)...)
	fails := &hooked{Store: f.store}
	store := &lockedRow{Store: fails, id: id(1)}
	registry := prometheus.NewRegistry()
	e := f.executor(executor.Config{
		Registerer: registry, MaxTransitions: 6,
		Builder: rejectedOne(2, func(context.Context) error { return errBroken }),
	}, store)
	f.clock.Set(monday.Add(3 * time.Second))
	s := e.Tick(f.ctx, monday)
	if s.Conflicts != 1 || s.Held != 4 || s.Evaluated != 10 || len(s.Errors) != 1 || len(s.Transitions) != 4 {
		t.Fatalf("stats %+v", s)
	}
	ended := float64(f.clock.Now().Unix())
	f.clock.Advance(time.Hour)
	fails.due = func() error { return errBroken }
	e.Tick(f.ctx, monday)
	now := gathered(t, registry)
	for series, want := range map[string]float64{
		`dormouse_ticks_total{result="ok"}`:                               1,
		`dormouse_ticks_total{result="error"}`:                            1,
		`dormouse_tick_last_success_timestamp_seconds`:                    ended,
		`dormouse_workspace_errors_total`:                                 1,
		`dormouse_commit_conflicts_total`:                                 1,
		`dormouse_transitions_held_total`:                                 4,
		`dormouse_transitions_skipped_total{skip_reason="cap"}`:           4,
		`dormouse_transitions_skipped_total{skip_reason="error"}`:         1,
		`dormouse_workspaces_evaluated_total`:                             10,
		`dormouse_transitions_total{reason="autostop",transition="stop"}`: 4,
	} {
		if now[series] != want {
			t.Errorf("%s = %v, want %v", series, now[series], want)
		}
	}
}

// A workspace that is skipped for two reasons in one tick counts once, for the last of them.
func TestASkipCountsOnce(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	registry := prometheus.NewRegistry()
	e := f.executor(executor.Config{
		Registerer: registry, Builder: rejectedOne(1, func(context.Context) error { return executor.Refuse("busy") }),
	}, &lockedRow{Store: f.store, id: id(1)})
	e.Tick(f.ctx, monday)
	f.clock.Advance(time.Minute)
	if s := e.Tick(f.ctx, monday); s.Skipped[id(1)] != lifecycle.SkipStore || s.Count.Skipped != 1 {
		t.Errorf("skipped %v, %d of them", s.Skipped, s.Count.Skipped)
	}
	now := gathered(t, registry)
	refused, store := now[`dormouse_transitions_skipped_total{skip_reason="refused"}`], now[`dormouse_transitions_skipped_total{skip_reason="store"}`]
	if refused != 1 || store != 1 { // in the first tick nobody could know yet that the row was locked
		t.Errorf("%v refused, %v by the store", refused, store)
	}
}

// quietRefusal is a refusal that says what another error said before.
type quietRefusal struct{ refusal error }

func (quietRefusal) Error() string   { return "disk is full" }
func (q quietRefusal) Unwrap() error { return q.refusal }

// A skip is a line of the log for each new reason: another error, or the same text for another cause.
func TestASkipIsLoggedForEachNewReason(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	log := &logs{}
	var next error
	e := f.executor(executor.Config{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Builder: rejectedOne(1, func(context.Context) error { return next }),
	}, nil)
	full, quota := errors.New("disk is full"), errors.New("quota")
	refusal := quietRefusal{executor.Refuse("no")}
	for n, c := range []struct {
		err   error
		level string
		news  bool
	}{
		{full, "WARN", true}, {full, "WARN", false}, {refusal, "DEBUG", true}, {refusal, "DEBUG", false}, {full, "WARN", true}, {quota, "WARN", true}, {full, "WARN", true},
	} {
		next = c.err
		before, all := log.count("transition skipped", "level="+c.level), log.count("transition skipped")
		e.Tick(f.ctx, monday.Add(time.Duration(n)*day))
		if news := log.count("transition skipped", "level="+c.level) - before; (news == 1) != c.news || log.count("transition skipped")-all != news {
			t.Errorf("attempt %d: %d new lines at %s, want news %t", n, news, c.level, c.news)
		}
	}
}

// What the store refuses is logged as a warning, once.
func TestWhatTheStoreRefusesIsLogged(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	log := &logs{}
	e := f.executor(executor.Config{Logger: log.logger()}, &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool { return c.NewBuild })})
	for n := range 3 {
		e.Tick(f.ctx, monday.Add(time.Duration(n)*time.Hour))
	}
	if n := log.count("level=WARN", "transition skipped", "skip_reason=store", "error=broken"); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
}

// Ticks that did something are told to who debugs, and none is an error that was none; what the brake holds is told when it begins.
func TestWhatGoodTicksLog(t *testing.T) {
	f := newFleet(t)
	f.add(dueDeletions(15)...)
	log := &logs{}
	e := f.executor(executor.Config{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Instance: "a", MaxDeletions: 4,
	}, nil)
	e.Tick(f.ctx, monday.Add(-day))
	if n := log.count("executor: tick"); n != 0 {
		t.Errorf("%d lines of a tick that found nothing", n)
	}
	evaluated := 0
	for n := range 40 {
		if s := e.Tick(f.ctx, monday.Add(time.Duration(n)*time.Minute)); s.Evaluated > 0 {
			evaluated++
		}
	}
	if n := log.count("level=DEBUG", `msg="executor: tick"`, "instance=a"); n != evaluated || evaluated < 2 {
		t.Errorf("%d lines of %d ticks that found something", n, evaluated)
	}
	if n := log.count("executor: tick", "stats.transitions=4", "stats.evaluated=15"); n != 1 {
		t.Errorf("%d lines say what the first tick did", n)
	}
	if n := log.count("deletions held by the brake", "held=11", "admitted=4"); n != 1 || log.count("held by the brake") != 1 {
		t.Errorf("%d lines of what the brake holds, %d of them of 11", log.count("held by the brake"), n)
	}
	if n := log.count("level=ERROR"); n != 0 {
		t.Errorf("%d errors", n)
	}
}

// zoneKeeper is a store that notes what it is told of time zones.
type zoneKeeper struct {
	*memory.Store
	told    [][]string
	err     error
	changed []string
}

func (z *zoneKeeper) KeepZones(_ context.Context, _ time.Time, zones []string, _ func(string) int64) ([]string, error) {
	z.told = append(z.told, slices.Sorted(slices.Values(zones)))
	return z.changed, z.err
}

// The store is asked once by each process to compare the zones that it knows, and told once of each that it may not know.
func TestTheStoreIsToldOfZones(t *testing.T) {
	f := newFleet(t)
	daily := func(n int, zone string) { f.add(numbered(n, stopped(autostart("CRON_TZ="+zone+" 0 9 * * *")))) }
	daily(1, "Europe/Berlin")
	store := &zoneKeeper{Store: f.store, err: errBroken}
	log := &logs{}
	e := f.executor(executor.Config{Logger: log.logger()}, store)
	step := func(what string, do func(), want ...[]string) {
		t.Helper()
		store.told = nil
		do()
		if !slices.EqualFunc(store.told, want, slices.Equal) {
			t.Errorf("%s: told of %q, want %q", what, store.told, want)
		}
	}
	tick := func() { f.must(e.Tick(f.ctx, monday).Err) }
	step("a store that fails", tick, nil, []string{"Europe/Berlin"})
	step("again", tick, []string{"Europe/Berlin"}, []string{"Europe/Berlin"}) // when it begins, and when it ends
	store.err, store.changed = nil, []string{"Europe/Berlin"}
	step("a store that works", tick, []string{"Europe/Berlin"})
	step("nothing new", tick)
	if n := log.count("level=INFO", "time zones have other rules now", "Europe/Berlin"); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
	if n := log.count("level=WARN", "compare time zones"); n != 4 {
		t.Errorf("%d lines of a store that fails", n)
	}
	store.changed = nil
	step("a zone that is known", func() {
		_, err := e.Update(f.ctx, id(1), lifecycle.SetAutostart(nil))
		f.must(err)
	})
	daily(2, "Asia/Tokyo")
	step("a verb on another zone", func() {
		_, err := e.Update(f.ctx, id(2), lifecycle.SetAutomaticUpdates(true))
		f.must(err)
	}, []string{"Asia/Tokyo"})
	daily(3, "America/Lima")
	step("a tick on another zone", tick, []string{"America/Lima"})
	if n := log.count("other rules now"); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
}

// Pauses of what the store refuses altogether grow from a minute, and no further than an hour and a quarter.
func TestPausesOfWhatTheStoreRefuses(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	tries := map[time.Duration]bool{}
	var now time.Time
	e := f.executor(executor.Config{Granularity: time.Second}, &hooked{Store: f.store, commit: func([]lifecycle.Change) error {
		tries[now.Sub(monday)] = true
		return errBroken
	}})
	for now = monday; now.Before(monday.Add(12 * time.Hour)); now = now.Add(10 * time.Second) {
		e.Tick(f.ctx, now)
	}
	at := slices.Sorted(maps.Keys(tries))
	for n := 1; n < len(at); n++ {
		gap, want := at[n]-at[n-1], min(time.Minute<<min(n-1, 10), time.Hour)
		if gap < want || gap > want+want/4+20*time.Second {
			t.Errorf("pause %d of %v, want about %v", n, gap, want)
		}
	}
	if len(at) < 12 {
		t.Errorf("tried %d times in 12 hours", len(at))
	}
}

// A start that is missed is a line for whoever asks for all of them, a tick that fails is an error, and one that its host ends is neither.
func TestWhatTheLogSaysOfTicks(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute }))))
	log := &logs{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.executor(executor.Config{Logger: logger}, nil).Tick(f.ctx, monday.Add(day+time.Hour))
	if n := log.count("transition skipped", "level=DEBUG", "skip_reason=missed_window", "workspace_id="+id(1).String()); n != 1 {
		t.Errorf("%d lines of the missed start", n)
	}
	store := &hooked{Store: f.store}
	e := f.executor(executor.Config{Logger: logger}, store)
	for want, err := range []error{context.Canceled, errBroken} {
		store.due = func() error { return err }
		if s := e.Tick(f.ctx, monday.Add(2*day)); !errors.Is(s.Err, err) {
			t.Fatalf("the tick returns %v", s.Err)
		}
		if n := log.count("tick failed", "level=ERROR"); n != want {
			t.Errorf("%d errors after %v, want %d", n, err, want)
		}
	}
}
