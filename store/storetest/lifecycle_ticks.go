package storetest

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
)

// executor is a replica that ticks.
func (f *fixture) executor(cfg executor.Config) *executor.Executor {
	f.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	e, err := executor.New(f.s, cfg)
	f.must(err)
	return e
}

// ticks has executors tick at once, and returns what they did together.
func (f *fixture) ticks(at time.Time, all ...*executor.Executor) (made map[uuid.UUID]lifecycle.Transition, skipped map[uuid.UUID]lifecycle.SkipReason) {
	f.Helper()
	made, skipped = map[uuid.UUID]lifecycle.Transition{}, map[uuid.UUID]lifecycle.SkipReason{}
	var wg sync.WaitGroup
	stats := make([]executor.Stats, len(all))
	for i, e := range all {
		wg.Go(func() { stats[i] = e.Tick(f.ctx, at) })
	}
	wg.Wait()
	for _, s := range stats {
		f.rule(s.Err == nil && len(s.Errors) == 0, "a tick succeeds: %v, errors %v", s.Err, s.Errors)
		for id, t := range s.Transitions {
			made[id] = t
		}
		for id, why := range s.Skipped {
			skipped[id] = why
		}
	}
	return made, skipped
}

// testBrakeTicks has two executors that find too many deletions due, one that comes later, and a person who releases them.
func testBrakeTicks(f *fixture) {
	skipUnless[lifecycle.Braker](f)
	h, outbox := skipUnless[lifecycle.Holder](f), skipUnless[lifecycle.Outbox](f)
	f.template.Policy.TimeTilAutodelete = time.Hour
	f.put(epoch, &f.template)
	all := f.create(40)
	for i, s := range all {
		c := wakeAt(s, epoch)
		c.Workspace.DormantAt, c.Workspace.DeletingAt = epoch.Add(-2*time.Hour), epoch.Add(-time.Hour+time.Duration(i)*time.Second)
		f.commit(c)
	}
	cfg := executor.Config{PageSize: 7, BatchSize: 3, Topics: []lifecycle.Topic{lifecycle.TopicAudit}}
	a, b := f.executor(cfg), f.executor(cfg)
	made, skipped := f.ticks(epoch, a, b)
	for range 3 { // what was in conflict is looked at again
		again, more := f.ticks(epoch, a, b)
		for id, t := range again {
			made[id] = t
		}
		for id, why := range more {
			skipped[id] = why
		}
	}
	f.rule(len(made) == 10 && len(skipped) == 30, "of 40 deletions two executors together make 10, and hold 30: made %d, held %d", len(made), len(skipped))
	held := 0
	for _, s := range all {
		got := f.load(s.Workspace.ID)
		if got.Build.Number > 0 {
			continue
		}
		held++
		f.rule(skipped[got.Workspace.ID] == lifecycle.SkipBrake, "what is held is skipped because of the brake: %s", skipped[got.Workspace.ID])
		x := lifecycle.Explain(got, epoch)
		f.rule(strings.Contains(x.String(), "deletions within an hour"), "what is held explains it: %v", x)
		f.rule(got.Workspace.WakeAt.Equal(epoch.Add(10*time.Minute)), "it asks again with all others: %v", got.Workspace.WakeAt)
	}
	f.rule(held == 30, "the others are held: %d", held)

	restarted := f.executor(cfg)
	if made, _ = f.ticks(epoch.Add(50*time.Minute), restarted); len(made) != 0 {
		f.Errorf("broken rule: a new process knows what was deleted before it: it made %d", len(made))
	}
	if made, _ = f.ticks(epoch.Add(time.Hour), restarted); len(made) != 10 {
		f.Errorf("broken rule: after an hour there is room again: made %d", len(made))
	}
	f.must(h.PutEngine(f.ctx, epoch.Add(time.Hour), lifecycle.Engine{DeletionsReleasedUntil: epoch.Add(2 * time.Hour)}))
	if made, _ = f.ticks(epoch.Add(61*time.Minute), restarted); len(made) != 20 {
		f.Errorf("broken rule: what was held goes when deletions are released: made %d of 20", len(made))
	}
	told := f.claimAll(outbox, lifecycle.EventDeletionHeld)
	f.rule(len(told) == 30, "each that was held is told: %d of 30", len(told))
	for id, n := range told {
		f.rule(n == 1, "and once: %s %d times", id, n)
	}
}

// claimAll counts the events of a kind by workspace.
func (f *fixture) claimAll(o lifecycle.Outbox, kind lifecycle.EventKind) map[uuid.UUID]int {
	f.Helper()
	found := map[uuid.UUID]int{}
	for at := epoch.Add(3 * time.Hour); ; {
		events, err := o.ClaimEvents(f.ctx, at, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 100)
		f.must(err)
		if len(events) == 0 {
			return found
		}
		var done []lifecycle.Delivery
		for _, e := range events {
			done = append(done, lifecycle.Delivery{Seq: e.Seq})
			if e.Kind == kind {
				found[e.WorkspaceID]++
			}
		}
		f.must(o.SettleEvents(f.ctx, at, done))
	}
}

// testSettleTicks has an outage: the deadline of a workspace that is used passes while no process could be told.
func testSettleTicks(f *fixture) {
	skipUnless[lifecycle.Settler](f)
	f.template.Policy.DefaultTTL, f.template.Policy.ActivityBump = time.Hour, time.Hour
	f.put(epoch, &f.template)
	var ids []uuid.UUID
	for range 2 {
		w := f.workspace()
		w.TTL = time.Hour
		f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
		f.commit(f.build(f.load(w.ID), lifecycle.TransitionStart))
		f.commit(f.ended(f.load(w.ID), lifecycle.JobSucceeded, epoch))
		ids = append(ids, w.ID)
	}
	cfg := executor.Config{Interval: time.Minute, Settle: 10 * time.Minute}
	f.ticks(epoch.Add(time.Minute), f.executor(cfg))
	back := epoch.Add(2 * time.Hour)
	a, b := f.executor(cfg), f.executor(cfg)
	for minute := range 10 {
		made, _ := f.ticks(back.Add(time.Duration(minute)*time.Minute), a, b)
		f.rule(len(made) == 0, "nothing is stopped for ten minutes after an outage: in minute %d, %v", minute, made)
		if minute == 5 {
			s := f.load(ids[0])
			f.rule(strings.Contains(lifecycle.Explain(s, back.Add(5*time.Minute)).String(), "outage"), "Explain says what it waits for: %v", lifecycle.Explain(s, back.Add(5*time.Minute)))
			c, err := lifecycle.Used(back.Add(5*time.Minute))(s, back.Add(5*time.Minute))
			f.must(err)
			f.commit(c)
		}
	}
	made, _ := f.ticks(back.Add(10*time.Minute), a, b)
	f.rule(len(made) == 1 && made[ids[1]] == lifecycle.TransitionStop, "then what was not used is stopped, and what was is not: %v", made)
}

// testUpdateReturns has verbs of a host, which care little for the form of what they make: what Update returns is what the
// store has.
func testUpdateReturns(f *fixture) {
	id := f.create(1)[0].Workspace.ID
	e := f.executor(executor.Config{})
	odd := time.Date(2026, 3, 2, 9, 30, 0, 123_456_789, time.FixedZone("odd", 3*3600+1))
	touch := func(c *lifecycle.Change) {
		w := &c.Workspace
		for _, t := range []*time.Time{
			&w.WakeAt, &w.AutostartAfter, &w.LastUsedAt, &w.DormantAt, &w.DeletingAt, &w.RemindedFor, &w.AttentionAt,
			&w.Backoff.Until, &w.Floors.Stop, &w.Floors.Dormancy, &w.Floors.Delete, &w.Hold.Until,
			&c.Build.CreatedAt, &c.Build.CompletedAt, &c.Build.DueAt, &c.Build.RunSince, &c.Build.Deadline, &c.Build.MaxDeadline,
		} {
			*t = odd
		}
		w.Hold.Rules, w.Backoff.Attempts = lifecycle.HoldAll, 1
		// What a change does not write stays as it was.
		w.ID, w.OwnerID, w.TemplateID, w.Name, w.CreatedAt, w.Revision = uuid.New(), uuid.New(), uuid.New(), "another", odd, 99
	}
	for name, verb := range map[string]lifecycle.Verb{
		"a build that is over": func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
			c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, now)
			touch(&c)
			c.Workspace.ID, c.Build.Status = s.Workspace.ID, lifecycle.JobSucceeded
			return c, err
		},
		"the latest build": func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
			c := lifecycle.Rearm(s, now)
			touch(&c)
			c.Workspace.ID = s.Workspace.ID
			return c, nil
		},
		"no build": func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
			c := lifecycle.Rearm(s, now)
			touch(&c)
			c.Workspace.ID, c.Build = s.Workspace.ID, lifecycle.Build{}
			return c, nil
		},
	} {
		got, err := e.Update(f.ctx, id, verb)
		f.must(err)
		same(f, name+": what Update returns is what the store has: workspace", got.Workspace, f.load(id).Workspace)
		same(f, name+": what Update returns is what the store has: build", got.Build, f.load(id).Build)
	}
}

// testZones has a process with other zone data than the one before it.
func testZones(f *fixture) {
	z := skipUnless[lifecycle.ZoneKeeper](f)
	s := f.create(1)[0]
	f.commit(wakeAt(s, epoch.Add(24*time.Hour)))
	keep := func(add int64, zones ...string) []string {
		f.Helper()
		changed, err := z.KeepZones(f.ctx, epoch, zones, func(name string) int64 {
			if name == "Europe/Berlin" {
				return 1 + add
			}
			return int64(len(name))
		})
		f.must(err)
		return changed
	}
	f.rule(len(keep(0, "Europe/Berlin", "Asia/Kolkata")) == 0, "zones that are new have not changed")
	f.rule(len(keep(0, "UTC")) == 0 && len(keep(0)) == 0, "nor have those that are as they were")
	revision := f.load(s.Workspace.ID).Workspace.Revision
	f.rule(len(f.due(epoch, 10, lifecycle.Shard{})) == 0, "and nothing is due because of them")
	f.rule(slices.Equal(keep(1), []string{"Europe/Berlin"}), "a zone with other data is named")
	got := f.due(epoch, 10, lifecycle.Shard{})
	f.rule(len(got) == 1 && got[0].Workspace.Revision > revision, "and everything is due, with a new revision: %d", len(got))
	f.commit(wakeAt(got[0], epoch.Add(24*time.Hour)))
	f.rule(len(keep(1)) == 0 && len(f.due(epoch, 10, lifecycle.Shard{})) == 0, "once")
}

// testZoneTicks has a fleet whose zone data somebody has updated between two processes.
func testZoneTicks(f *fixture) {
	z := skipUnless[lifecycle.ZoneKeeper](f)
	w := f.workspace()
	everything := executor.Config{Shard: func() lifecycle.Shard { return lifecycle.Shard{} }}
	var err error
	w.Autostart, err = schedule.Weekly("CRON_TZ=Europe/Berlin 0 9 * * *")
	f.must(err)
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	f.commit(f.build(f.load(w.ID), lifecycle.TransitionStop))
	f.commit(f.ended(f.load(w.ID), lifecycle.JobSucceeded, epoch))
	f.commit(wakeAt(f.load(w.ID), epoch))
	a := f.executor(everything)
	f.ticks(epoch, a)
	right := f.load(w.ID).Workspace.WakeAt
	f.rule(right.After(epoch), "the wake is the next start: %v", right)
	// What the process before computed with older data was an hour too late.
	f.commit(wakeAt(f.load(w.ID), right.Add(time.Hour)))
	_, err = z.KeepZones(f.ctx, epoch, nil, func(string) int64 { return 42 })
	f.must(err)
	f.commit(wakeAt(f.load(w.ID), right.Add(time.Hour)))
	f.ticks(epoch.Add(time.Minute), a)
	f.rule(f.load(w.ID).Workspace.WakeAt.Equal(right.Add(time.Hour)), "a process that ticks on has compared its zones already")
	f.ticks(epoch.Add(2*time.Minute), f.executor(everything))
	f.rule(f.load(w.ID).Workspace.WakeAt.Equal(right), "a process with other zone data looks at everything at its first tick: wakes at %v, want %v", f.load(w.ID).Workspace.WakeAt, right)
	f.ticks(epoch.Add(3*time.Minute), f.executor(everything))
}
