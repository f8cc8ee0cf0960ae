package workerpool_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// Each test here is about a fault that a dispatcher of this kind has been seen with.

func TestFault01HungProbeDoesNotMakeAWorkerImmortal(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			cfg := Config{ProbeTimeout: 2 * time.Minute, CommandTimeout: 20 * time.Second, Limits: Limits{IdleTimeout: time.Hour}}
			inWorld(t, setup{cfg: cfg, dirty: true}, func(t *testing.T, w *world) {
				w.post("a")
				w.sleep(10 * time.Second)
				w.want(Running, 1)
				w.provider.Configure(func(k *workerpooltest.Knobs) {
					k.Deaf = deaf
					k.Hang = func(id InstanceID, _ string) bool { return id == "i-00001" }
				})
				w.sleep(3 * time.Minute)
				if s := w.Stats(); s.Shutdowns[ReasonProbeTimeout] != 1 || len(w.provider.Instances()) != 1 {
					t.Errorf("shutdowns %v, instances %v", s.Shutdowns, w.provider.Instances())
				}
				if w.provider.Runs("a") != 2 {
					t.Errorf("the job ran %d times", w.provider.Runs("a"))
				}
				w.provider.Release()
				synctest.Wait()
			})
		})
	}
}

func TestFault02ProbeSlowerThanTheSyncIntervalCounts(t *testing.T) {
	cfg := Config{SyncInterval: 10 * time.Second, CommandTimeout: time.Minute, BootTimeout: 10 * time.Minute}
	inWorld(t, setup{cfg: cfg, knobs: workerpooltest.Knobs{CommandTime: 25 * time.Second}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(2 * time.Minute)
		w.want(Running, 1)
	})
}

func TestFault03QuotaHoldEnds(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{Quota: map[string]int{"p": 2}}}, func(t *testing.T, w *world) {
		w.post(names("j", 6)...)
		w.sleep(30 * time.Second)
		w.want(Running, 2)
		if !w.AtQuota() {
			t.Error("not at quota")
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.Quota = nil })
		w.sleep(10 * time.Minute) // long jobs: no worker goes meanwhile
		w.want(Running, 6)
		if w.AtQuota() {
			t.Error("still at quota")
		}
	})
}

func TestFault04IdleClockStartsWhenReady(t *testing.T) {
	kind := small()
	inWorld(t, setup{noQueue: true, cfg: Config{Limits: Limits{Types: []InstanceType{kind}}}, knobs: workerpooltest.Knobs{BootTime: 50 * time.Second}}, func(t *testing.T, w *world) {
		if _, err := w.Create("small"); err != nil {
			t.Fatal(err)
		}
		w.sleep(52 * time.Second)
		w.want(Idle, 1)
		w.sleep(55 * time.Second)
		w.want(Idle, 1)
		w.sleep(10 * time.Second)
		w.want(Idle, 0)
	})
}

func TestFault05BusyUnknownWorkerIsNotDestroyedByAge(t *testing.T) {
	s := setup{cfg: Config{BootTimeout: time.Minute}, before: func(w *world) {
		w.queue.Add(Job{ID: "a", State: JobAssigned})
		w.provider.Adopt(adopted("i-old", "small"), "a")
	}}
	s.knobs.CommandError = func(_ InstanceID, command string) error {
		if command == "true" {
			return errors.New("the image has another boot probe")
		}
		return nil
	}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.sleep(time.Hour)
		w.want(Unknown, 1)
		if jobs := w.first().Jobs; len(jobs) != 1 || jobs[0].ID != "a" {
			t.Errorf("jobs %+v", jobs)
		}
	})
}

func TestFault06StartUpReleasesOnlyWhatIsNowhere(t *testing.T) {
	s := setup{before: func(w *world) {
		w.queue.Add(Job{ID: "there", State: JobAssigned}, Job{ID: "nowhere", State: JobAssigned})
		w.provider.Adopt(adopted("i-fast", "small"))
		w.provider.Adopt(adopted("i-late", "small"), "there")
		w.provider.Freeze("i-late")
	}, cfg: Config{BootTimeout: time.Hour, Limits: Limits{MaxWorkers: 2, IdleTimeout: 2 * time.Hour}}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.sleep(20 * time.Minute)
		if n := w.Stats().Records[Released]; n != 0 {
			t.Errorf("%d jobs were released while a worker had not answered", n)
		}
		w.provider.Thaw("i-late")
		w.sleep(time.Minute)
		if n := w.provider.Runs("there"); n != 1 {
			t.Errorf("there ran %d times", n)
		}
		if _, worker, _, _, _ := w.queue.State("nowhere"); worker != "i-fast" || w.Stats().Records[Released] != 1 {
			t.Errorf("nowhere is on %q, %v", worker, w.Stats().Records)
		}
	})
}

func TestFault07CountsLeakNoSubscriber(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		if n := testing.AllocsPerRun(1000, func() { w.Counts() }); n > 2 { // those of the answer's map, and nothing that stays
			t.Errorf("%v allocations a call", n)
		}
	})
}

func TestFault08ListedBeforeItsCreateReturned(t *testing.T) {
	for _, tagBytes := range []int{0, 12} { // with tags that are cut only the id tells that it is the same instance
		t.Run(fmt.Sprint("tags of ", tagBytes), func(t *testing.T) {
			s := setup{cfg: Config{SyncInterval: time.Second}, knobs: workerpooltest.Knobs{CreateDelay: 30 * time.Second, TagBytes: tagBytes}}
			inWorld(t, s, func(t *testing.T, w *world) {
				w.post("a")
				w.sleep(10 * time.Second)
				if n := w.Counts().Total; n != 1 && tagBytes == 0 {
					t.Errorf("%d workers for one instance", n)
				}
				w.sleep(30 * time.Second)
				if n := w.Counts().Total; n != 1 || w.first().ID == "" || w.first().Secret == (Secret{}) {
					t.Errorf("%d workers for one instance: %+v", n, w.Workers())
				}
				w.want(Running, 1)
			})
		})
	}
}

func TestFault09LongerHoldWins(t *testing.T) {
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{CreateDelay: time.Second}}, func(t *testing.T, w *world) {
		retry := []time.Time{time.Now().Add(time.Hour), time.Now().Add(2 * time.Second)}
		w.provider.Configure(func(k *workerpooltest.Knobs) {
			k.CreateError = func(Order) error {
				at := retry[0]
				retry = retry[1:]
				return &workerpooltest.RateLimitError{Retry: at}
			}
		})
		_, _ = w.Create("small")
		_, _ = w.Create("small")
		w.sleep(time.Minute)
		pauses := w.Pauses()
		if len(retry) != 0 {
			t.Fatal("both creates must be under way together: this tests nothing")
		}
		if len(pauses) != 1 || time.Until(pauses[0].Until) < 50*time.Minute || pauses[0].Reason != ReasonRateLimit {
			t.Errorf("pauses %+v", pauses)
		}
	})
}

func TestFault10CreatesAreNotOneEachFiveSeconds(t *testing.T) {
	cfg := Config{OperationsPerSecond: 100}
	inWorld(t, setup{cfg: cfg, knobs: workerpooltest.Knobs{CreateDelay: 20 * time.Millisecond}}, func(t *testing.T, w *world) {
		w.post(names("j", 64)...)
		w.sleep(5 * time.Second)
		w.want(Running, 64)
	})
}

func TestFault11StopLeaksNothing(t *testing.T) {
	// A goroutine that is left makes the bubble fail.
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			w := &world{T: t, provider: workerpooltest.NewProvider(nil), queue: workerpooltest.NewQueue(nil)}
			w.begin(setup{})
			w.post("a")
			w.sleep(time.Second)
			w.stop()
			w.stop()
		}
	})
}

func TestFault12EmptyListingDropsNothing(t *testing.T) {
	inWorld(t, setup{dirty: true, cfg: Config{OperationsPerSecond: 1000, Limits: Limits{MaxWorkers: 100, MaxCreating: 100}}}, func(t *testing.T, w *world) {
		w.post(names("j", 100)...)
		w.sleep(90 * time.Second)
		w.want(Running, 100)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListEmpty = 2 })
		w.sleep(10 * time.Minute)
		w.want(Running, 100)
		if len(w.told(EventBrake)) != 2 || w.Stats().BrakedListings != 2 {
			t.Errorf("told %v", w.told(EventBrake))
		}
		// One that is missing is dropped as usual, and its job is recorded as lost.
		w.provider.Crash("i-00001")
		w.sleep(65 * time.Second)
		if w.Stats().Records[Lost] != 1 {
			t.Errorf("records %v", w.Stats().Records)
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListEmpty = 5 })
		w.sleep(6 * time.Minute)
		if c := w.Counts(); c.Total != 100 {
			t.Errorf("%+v: workers that answer were dropped", c)
		}
		for _, in := range w.provider.Instances() {
			w.provider.Freeze(in.ID)
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) {
			k.ListEmpty = 5
			k.CreateError = func(Order) error { return errors.New("no") }
		})
		w.sleep(4 * time.Minute)
		if lost := w.Stats().Records[Lost]; lost < 100 {
			t.Errorf("three listings that agree: %d jobs are lost", lost)
		}
	})
}

func TestFault13RateLimitWithoutATime(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{RateLimit: 1, RateWindow: 10 * time.Second, RateSilent: true}}, func(t *testing.T, w *world) {
		w.post("a", "b")
		w.sleep(30 * time.Second)
		if p := w.Pauses(); len(p) != 1 || p[0].Reason != ReasonRateLimit {
			t.Errorf("pauses %+v", p)
		}
		w.sleep(3 * time.Minute)
		w.want(Running, 2)
	})
}

func TestFault14NoDataRaceOnInstances(t *testing.T) {
	// What the race detector says; listings, probes, tags and destroys at once.
	inWorld(t, setup{cfg: Config{SyncInterval: 100 * time.Millisecond, ProbeInterval: 50 * time.Millisecond, OperationsPerSecond: 1000}, knobs: workerpooltest.Knobs{JobTime: time.Second}}, func(t *testing.T, w *world) {
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for range 200 {
					for _, worker := range w.Workers() {
						_ = w.SetIdleBehavior(worker.ID, Behavior{Idle: IdleBehavior(len(worker.ID) % 2)})
						_ = w.Shutdown(worker.ID)
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		w.post(names("j", 50)...)
		readers.Wait()
	})
}

func TestFault15ReadinessBeforeFullness(t *testing.T) {
	kind := large()
	workers := []Worker{worker("boots", "large", Booting, 0), worker("idle", "large", Idle, 0)}
	jobs := []Job{{ID: "big", Priority: 1, Since: start, Needs: Resources{Slots: 4}}, job("small", 0)}
	workers[1].Behavior.Idle = BehaviorHold
	a := Plan(jobs, workers, limits(kind), start)
	if len(a.Starts) != 0 {
		t.Fatalf("a held worker got a job: %+v", a)
	}
	workers[1].Behavior.Idle = BehaviorRun
	workers[0].Jobs = []WorkerJob{{ID: "mapped", Needs: oneSlot, Phase: Executing}}
	a = Plan(jobs[1:], workers, limits(kind), start)
	if len(a.Starts) != 1 || workers[a.Starts[0].Worker].ID != "idle" {
		t.Errorf("the job waits for a fuller worker that boots: %+v", a)
	}
}

func TestFault16ShutdownTimeCountsFromTheFirstRequest(t *testing.T) {
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{DestroyIgnored: 3}}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		asked := time.Now()
		_ = w.Shutdown(w.first().ID)
		w.sleep(30 * time.Second)
		got := w.first()
		if !got.ShutdownAt.Equal(asked) || !got.DestroyedAt.After(asked) || got.Destroys < 2 {
			t.Errorf("shut down at %s, destroyed at %s, %d times", got.ShutdownAt, got.DestroyedAt, got.Destroys)
		}
		w.sleep(5 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers", n)
		}
	})
}

func TestFault17SingleWaitingJobAtQuotaStaysWaiting(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{Quota: map[string]int{"p": 1}}}, func(t *testing.T, w *world) {
		w.post("runs")
		w.sleep(10 * time.Second)
		w.post("waits")
		w.sleep(30 * time.Minute)
		if state, _, claimed, _, _ := w.queue.State("waits"); state != JobWaiting || claimed != 0 {
			t.Errorf("state %v, claimed %d times", state, claimed)
		}
		if n := len(w.queue.Records()); n != 1 {
			t.Errorf("%d records for two jobs, one of which runs", n)
		}
	})
}

func TestFault18RoomComesBackSoonAfterADestroy(t *testing.T) {
	s := setup{cfg: Config{Limits: Limits{Types: []InstanceType{small(), large()}, MaxWorkers: 1, PriceFactor: 10}}, knobs: workerpooltest.Knobs{JobTime: 10 * time.Second}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(25 * time.Second)
		w.want(Idle, 1)
		w.queue.Add(Job{ID: "big", Needs: Resources{Slots: 3}})
		w.Wake()
		w.sleep(12 * time.Second)
		if _, worker, _, _, _ := w.queue.State("big"); worker == "" {
			t.Errorf("12 s later: %v", w.Counts())
		}
		if w.Stats().Shutdowns[ReasonMakeRoom] != 1 || w.provider.Peak() != 1 {
			t.Errorf("shutdowns %v, peak %d", w.Stats().Shutdowns, w.provider.Peak())
		}
	})
}

func TestFault19JobsWithoutCapacityDoNotUseUpTheJobLimit(t *testing.T) {
	l := limits(small(), large())
	l.MaxJobs = 2
	l.Pauses = []Pause{{Types: []string{"large"}, Reason: ReasonCapacity, Until: start.Add(time.Hour)}}
	jobs := []Job{job("cheap", 0)}
	for i := range 5 {
		jobs = append(jobs, Job{ID: JobID(fmt.Sprint("big", i)), Priority: 9, Since: start, Needs: Resources{Slots: 3}})
	}
	a := Plan(jobs, nil, l, start)
	if len(a.Creates) != 1 || a.Creates[0].Type != "small" {
		t.Errorf("creates %+v", a.Creates)
	}
}

func TestFault20ParallelCreatesKeepToTheLimit(t *testing.T) {
	cfg := Config{OperationsPerSecond: 10_000, Limits: Limits{MaxWorkers: 7, MaxCreating: 100}}
	inWorld(t, setup{noQueue: true, cfg: cfg, knobs: workerpooltest.Knobs{CreateDelay: time.Second}}, func(t *testing.T, w *world) {
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { _, _ = w.Create("small") })
		}
		callers.Wait()
		w.sleep(5 * time.Second)
		if n := w.provider.Peak(); n != 7 {
			t.Errorf("%d instances", n)
		}
	})
}

func TestFault21KillMarksAreSeenByAll(t *testing.T) {
	// What the race detector says: kills from many sides, while the worker is read.
	inWorld(t, setup{knobs: workerpooltest.Knobs{IgnoreKill: func(JobID) bool { return true }}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 40 {
					_ = w.KillJob("a", "x")
					for _, worker := range w.Workers() {
						for _, j := range worker.Jobs {
							_ = j.Unkillable
						}
					}
					time.Sleep(time.Second)
				}
			})
		}
		callers.Wait()
		if n := w.provider.Calls("kill"); n < 8 || n > 9 {
			t.Errorf("%d requests in 40 s, want one each 5 s", n)
		}
	})
}

func TestFault22TagsAreNotShared(t *testing.T) {
	var order Order
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{CreateError: func(o Order) error { order = o; return nil }}}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		clear(order.Tags)
		listed := w.provider.Instances()
		clear(listed[0].Tags)
		w.sleep(2 * time.Minute)
		if got := w.provider.Instances(); len(got) != 0 || len(w.told(EventTags)) != 0 {
			t.Errorf("instances %v, events %v", got, w.told(EventTags))
		}
	})
}

func TestFault23HoldsGrow(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{Capacity: map[string]int{"p.small": 0}}}, func(t *testing.T, w *world) {
		begun := time.Now()
		w.post("a")
		w.sleep(3 * time.Hour)
		var at []time.Duration
		for _, e := range w.told(EventCreateFailed) {
			at = append(at, e.At.Sub(begun).Round(time.Minute))
		}
		want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91, 121, 151}
		for i := range want {
			want[i] *= time.Minute
		}
		if !slices.Equal(at, want) {
			t.Errorf("creates after %v, want %v", at, want)
		}
	})
}

func TestFault24ThePoolFindsAHigherQuotaByItself(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{Quota: map[string]int{"p": 1}}}, func(t *testing.T, w *world) {
		w.post(names("j", 20)...)
		w.sleep(2 * time.Hour)
		w.want(Running, 1)
		before := w.Stats().CreateErrors[ReasonQuota]
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.Quota["p"] = 20 })
		w.sleep(35 * time.Minute)
		w.want(Running, 20)
		if after := w.Stats().CreateErrors[ReasonQuota]; after != before {
			t.Errorf("%d refusals on the way up", after-before)
		}
	})
}

func TestFault25LeavingWorkersAreNotMeteredAsIdle(t *testing.T) {
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{DestroyTakes: time.Hour}}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		_ = w.Shutdown(w.first().ID)
		before := w.Cost()
		w.sleep(30 * time.Minute)
		after := w.Cost()
		if after.Idle != before.Idle || after.Leaving < .49 || after.Leaving > .51 {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if c := w.Counts(); c.Workers[Shutdown] != 1 || c.Workers[Idle] != 0 || c.Slots != 0 {
			t.Errorf("counts %+v", c)
		}
	})
}
