package storetest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// testRaceOnOne has many goroutines change one workspace: as many changes are applied as the revision has risen.
func testRaceOnOne(f *fixture) {
	id := f.create(1)[0].Workspace.ID
	var applied atomic.Int64
	var wg sync.WaitGroup
	for range f.o.Goroutines {
		wg.Go(func() {
			for range f.o.Rounds {
				found, err := f.s.Load(f.ctx, id)
				if err != nil || len(found) != 1 {
					f.Errorf("load: %d found, %v", len(found), err)
					return
				}
				c := wakeAt(found[0], epoch)
				c.Workspace.Failures++
				outcomes, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{c})
				if err != nil {
					f.Errorf("commit: %v", err)
					return
				}
				if outcomes[0] == lifecycle.Applied {
					applied.Add(1)
				}
			}
		})
	}
	wg.Wait()
	w := f.load(id).Workspace
	f.rule(w.Revision == 1+applied.Load(), "of changes from one revision exactly one is applied: revision %d after %d changes", w.Revision, applied.Load())
	f.rule(int64(w.Failures) == applied.Load(), "no applied change is lost: counted %d of %d", w.Failures, applied.Load())
}

// testRaceOfBatches commits overlapping batches in different orders.
func testRaceOfBatches(f *fixture) {
	all := f.create(12)
	var applied atomic.Int64
	var wg sync.WaitGroup
	for g := range f.o.Goroutines {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range f.o.Rounds {
				found, err := f.s.Load(f.ctx, ids(all)...)
				if err != nil {
					f.Errorf("load: %v", err)
					return
				}
				random.Shuffle(len(found), func(i, k int) { found[i], found[k] = found[k], found[i] })
				var changes []lifecycle.Change
				for _, s := range found[:8] {
					c := wakeAt(s, epoch)
					c.Workspace.Failures++
					changes = append(changes, c)
				}
				outcomes, err := f.s.Commit(f.ctx, epoch, changes)
				if err != nil {
					f.Errorf("broken rule: batches that overlap disturb each other no more than by conflicts: %v", err)
					return
				}
				for _, o := range outcomes {
					if o == lifecycle.Applied {
						applied.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for _, s := range all {
		sum += int64(f.load(s.Workspace.ID).Workspace.Failures)
	}
	f.rule(sum == applied.Load(), "no applied change is lost: counted %d of %d", sum, applied.Load())
}

// testTwoExecutors has two executors tick at once over the same due workspaces.
func testTwoExecutors(f *fixture) {
	f.template.Policy.FailureTTL = time.Hour
	f.put(epoch, &f.template)
	all := f.create(60)
	for _, s := range all {
		f.commit(f.build(s, lifecycle.TransitionStart))
		f.commit(f.ended(f.load(s.Workspace.ID), lifecycle.JobFailed, epoch))
	}
	var transitions atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		e, err := executor.New(f.s, executor.Config{BatchSize: 7, PageSize: 20, Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		wg.Go(func() {
			for range 2 {
				s := e.Tick(f.ctx, epoch.Add(2*time.Hour))
				if s.Err != nil || s.Count.Errors > 0 {
					f.Errorf("tick: %v, errors %v", s.Err, s.Errors)
				}
				transitions.Add(int64(s.Count.Transitions))
			}
		})
	}
	wg.Wait()
	f.rule(transitions.Load() == int64(len(all)), "two executors make each transition exactly once: %d for %d", transitions.Load(), len(all))
	for _, s := range all {
		b := f.load(s.Workspace.ID).Build
		f.rule(b.Number == 2 && b.Reason == lifecycle.ReasonFailedCleanup, "each due workspace gets its build: got %+v", b)
	}
}

func testWatch(f *fixture) {
	w := skipUnless[lifecycle.Watcher](f)
	s := f.create(1)[0]
	f.commit(wakeAt(s, epoch.Add(time.Hour)))
	woken, end := f.watch(w)
	wake := epoch.Add(time.Hour)
	f.wakes(woken, "a commit that makes the earliest wake earlier", func() {
		wake = wake.Add(-time.Second)
		f.commit(wakeAt(f.load(s.Workspace.ID), wake))
	})
	end()
}

// testWatchEverything makes workspaces due by everything else that does.
func testWatchEverything(f *fixture) {
	w := skipUnless[lifecycle.Watcher](f)
	s := f.create(1)[0]
	wake := epoch.Add(time.Hour)
	f.commit(wakeAt(s, wake))
	woken, end := f.watch(w)
	sooner := func() time.Time {
		wake = wake.Add(-time.Second)
		return wake
	}
	f.wakes(woken, "a change of a template", func() { f.put(sooner(), &f.template) })
	f.wakes(woken, "a change of an owner", func() { f.must(f.s.PutOwner(f.ctx, sooner(), f.owner)) })
	f.wakes(woken, "a new workspace", func() { f.must(f.s.CreateWorkspaces(f.ctx, sooner(), f.workspace())) })
	end()
}

// watchTimeout bounds the wait for what comes at some time. It is far above what a busy machine takes.
const watchTimeout = 2 * time.Minute

// watch begins a watch. It ends it, too, and sees how it does.
func (f *fixture) watch(w lifecycle.Watcher) (woken <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(f.ctx)
	f.Cleanup(cancel)
	calls, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- w.WatchWakes(ctx, func() {
			select {
			case calls <- struct{}{}:
			default:
			}
		})
	}()
	return calls, func() {
		f.Helper()
		cancel()
		select {
		case err := <-ended:
			f.rule(errors.Is(err, context.Canceled), "a watch returns the error of its context: got %v", err)
		case <-time.After(watchTimeout):
			f.Fatal("broken rule: a watch ends when its context does")
		}
	}
}

// wakes does something until the watch, which begins at some time, is woken by it.
func (f *fixture) wakes(woken <-chan struct{}, what string, do func()) {
	f.Helper()
	f.drain(woken)
	deadline := time.After(watchTimeout)
	for {
		do()
		select {
		case <-woken:
			return
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			f.Fatalf("broken rule: a watch is woken by %s", what)
		}
	}
}

// drain waits until late notifications of what happened before have arrived.
func (f *fixture) drain(woken <-chan struct{}) {
	for {
		select {
		case <-woken:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

func testShares(f *fixture) {
	s := skipUnless[lifecycle.Sharder](f)
	attend := func(replica uuid.UUID, at time.Time) lifecycle.Shard {
		share, err := s.Shard(f.ctx, at, replica, time.Minute)
		f.must(err)
		return share
	}
	a, b := uuid.New(), uuid.New()
	f.rule(attend(a, epoch).Count <= 1, "a replica that is alone has everything")
	attend(b, epoch.Add(time.Second))
	sa, sb := attend(a, epoch.Add(2*time.Second)), attend(b, epoch.Add(2*time.Second))
	f.rule(sa.Count == 2 && sb.Count == 2 && sa.Index != sb.Index, "replicas have different shares: got %v and %v", sa, sb)
	f.rule(attend(a, epoch.Add(2*time.Minute)).Count <= 1, "a replica that is missing for its time to live has no share")
}
