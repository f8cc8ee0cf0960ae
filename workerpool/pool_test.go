package workerpool_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// The whole story: jobs wait, workers come, jobs end, workers go.
func TestWorkersComeAndGoWithTheJobs(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{CreateDelay: 5 * time.Second, BootTime: 20 * time.Second, JobTime: time.Minute}}, func(t *testing.T, w *world) {
		w.post(names("j", 8)...)
		w.sleep(time.Second)
		w.want(Pending, 8)
		w.sleep(29 * time.Second)
		w.want(Running, 8)
		w.sleep(75 * time.Second)
		w.want(Idle, 8)
		if _, _, ended := w.queue.Count(); ended != 8 {
			t.Fatalf("%d jobs ended", ended)
		}
		w.sleep(2 * time.Minute)
		if n := w.Counts().Total; n != 0 || len(w.provider.Instances()) != 0 {
			t.Fatalf("%d workers and %d instances are left", n, len(w.provider.Instances()))
		}
		if s := w.Stats(); s.Creates[ReasonJob] != 8 || s.Shutdowns[ReasonIdle] != 8 || s.Records[Ended] != 8 {
			t.Errorf("stats %+v", s)
		}
		for _, id := range names("j", 8) {
			if n := w.provider.Runs(id); n != 1 {
				t.Errorf("%s ran %d times", id, n)
			}
		}
	})
}

// Two bursts and the way back to zero: each worker comes once and goes once, and the second burst finds those of the first.
func TestBurstsWithoutChurn(t *testing.T) {
	n := 200
	if testing.Short() || raceDetector {
		n = 40
	}
	cfg := Config{OperationsPerSecond: 50, Limits: Limits{MaxWorkers: n, MaxCreating: 8}}
	inWorld(t, setup{cfg: cfg, knobs: workerpooltest.Knobs{CreateDelay: 100 * time.Millisecond, BootTime: time.Second, JobTime: 15 * time.Second}}, func(t *testing.T, w *world) {
		for _, burst := range []string{"a", "b"} {
			w.post(names(burst, 2*n)...)
			w.sleep(70 * time.Second)
			if waiting, assigned, _ := w.queue.Count(); waiting+assigned != 0 {
				t.Errorf("%d jobs of the burst wait, %d run", waiting, assigned)
			}
		}
		w.sleep(5 * time.Minute)
		if s := w.Stats(); w.provider.Peak() != n || s.Creates[ReasonJob] != uint64(n) || s.Shutdowns[ReasonIdle] != uint64(n) || w.Counts().Total != 0 {
			t.Errorf("at most %d, creates %v, shutdowns %v, %d left", w.provider.Peak(), s.Creates, s.Shutdowns, w.Counts().Total)
		}
	})
}

func TestSeveralJobsOnAWorker(t *testing.T) {
	inWorld(t, setup{cfg: Config{Limits: limits(large())}, knobs: workerpooltest.Knobs{JobTime: time.Minute, ExitCode: 7}}, func(t *testing.T, w *world) {
		w.post(names("j", 6)...)
		w.sleep(20 * time.Second)
		w.want(Running, 2)
		if c := w.Counts(); c.Slots != 8 || c.Used != 6 || c.Jobs != 6 {
			t.Errorf("counts %+v", c)
		}
		w.sleep(2 * time.Minute)
		if _, _, claimed, exit, ended := w.queue.State("j0000"); !ended || exit != 7 || claimed != 1 {
			t.Errorf("claimed %d, exit %d, ended %v", claimed, exit, ended)
		}
	})
}

func TestKillJob(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		if err := w.KillJob("a", "enough"); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Second)
		if _, _, _, exit, ended := w.queue.State("a"); !ended || exit != 143 {
			t.Errorf("exit %d, ended %v", exit, ended)
		}
		if err := w.KillJob("b", ""); !errors.Is(err, ErrUnknownJob) {
			t.Errorf("a strange job: %v", err)
		}
	})
}

func TestUnkillableJobDrainsItsWorker(t *testing.T) {
	knobs := workerpooltest.Knobs{IgnoreKill: func(JobID) bool { return true }}
	inWorld(t, setup{knobs: knobs}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		_ = w.KillJob("a", "enough")
		w.sleep(time.Minute)
		w.want(Running, 1)
		w.sleep(2 * time.Minute)
		if _, _, claimed, _, ended := w.queue.State("a"); ended || claimed != 2 {
			t.Errorf("claimed %d, ended %v: the loss of a job makes it wait again", claimed, ended)
		}
		if n := w.provider.Calls("kill"); n != 24 {
			t.Errorf("%d requests, want one each five seconds for two minutes", n)
		}
		if got := w.told(EventUnkillable); len(got) != 1 || got[0].Job != "a" {
			t.Errorf("told %v", got)
		}
		if w.Stats().Records[Lost] != 1 || w.Stats().Shutdowns[ReasonUnkillable] != 1 {
			t.Errorf("stats %+v", w.Stats())
		}
	})
}

func TestShutdown(t *testing.T) {
	inWorld(t, setup{noQueue: true}, func(t *testing.T, w *world) {
		for range 3 {
			if _, err := w.Create("small"); err != nil {
				t.Fatal(err)
			}
		}
		w.sleep(5 * time.Second)
		w.want(Idle, 3)
		id, err := w.StartJob(Job{ID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Shutdown(id); !errors.Is(err, ErrNotIdle) {
			t.Errorf("a busy worker: %v", err)
		}
		if err := w.Shutdown("nobody"); !errors.Is(err, ErrUnknownWorker) {
			t.Errorf("no worker: %v", err)
		}
		for range 2 {
			other, err := w.ShutdownOne("small")
			if err != nil || other == id {
				t.Fatalf("shut down %s, %v", other, err)
			}
		}
		if _, err := w.ShutdownOne("small"); !errors.Is(err, ErrNotIdle) {
			t.Errorf("nothing idle is left: %v", err)
		}
		if err := w.StartJobOn(id, Job{ID: "b"}); !errors.Is(err, ErrNoRoom) {
			t.Errorf("a full worker: %v", err)
		}
		if _, err := w.StartJob(Job{ID: "b"}); !errors.Is(err, ErrNoRoom) {
			t.Errorf("no room: %v", err)
		}
		if err := w.KillWorker(id, "ann", "test"); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Second)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers", n)
		}
	})
}

// Shutdown takes the youngest that boots, then the longest idle.
func TestShutdownOneChoosesTheVictim(t *testing.T) {
	inWorld(t, setup{noQueue: true, cfg: Config{Limits: Limits{IdleTimeout: time.Hour}}}, func(t *testing.T, w *world) {
		create := func() InstanceID {
			_, err := w.Create("small")
			if err != nil {
				t.Fatal(err)
			}
			w.sleep(10 * time.Second)
			return w.provider.Instances()[len(w.provider.Instances())-1].ID
		}
		first, second := create(), create()
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.BootTime = time.Hour })
		third, fourth := create(), create()
		for _, want := range []InstanceID{fourth, third, first, second} {
			if got, err := w.ShutdownOne("small"); got != want || err != nil {
				t.Errorf("got %s, want %s, %v", got, want, err)
			}
		}
	})
}

func TestHoldAndDrain(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{JobTime: time.Minute}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		id := w.first().ID
		until := time.Now().Add(time.Hour)
		if err := w.SetIdleBehavior(id, Behavior{Idle: BehaviorHold, Owner: "ann", Reason: "looking at it", Until: until}); err != nil {
			t.Fatal(err)
		}
		w.sleep(30 * time.Minute)
		w.want(Idle, 1)
		w.post("b")
		w.sleep(10 * time.Second)
		if _, worker, _, _, _ := w.queue.State("b"); worker == id {
			t.Error("a held worker got a job")
		}
		tags := w.provider.Instances()[0].Tags
		if tags["dormouse-behavior"] != "hold" || tags["dormouse-owner"] != "ann" || tags["dormouse-reason"] != "looking at it" || tags["dormouse-until"] == "" {
			t.Errorf("tags %v", tags)
		}
		w.restart(setup{})
		w.sleep(time.Minute)
		if got := w.first(); got.ID != id || got.Behavior.Idle != BehaviorHold || got.Behavior.Owner != "ann" || got.Behavior.Until.Unix() != until.Unix() {
			t.Errorf("after a restart: %+v", got)
		}
		w.sleep(40 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers after the hold's end", n)
		}
		if err := w.SetIdleBehavior(id, Behavior{}); !errors.Is(err, ErrUnknownWorker) {
			t.Errorf("a worker that is gone: %v", err)
		}
	})
}

func TestDrainEndsWithTheLastJob(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{JobTime: 5 * time.Minute}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		if err := w.SetIdleBehavior(w.first().ID, Behavior{Idle: BehaviorDrain, Owner: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.sleep(4 * time.Minute)
		w.want(Running, 1)
		w.sleep(2 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers", n)
		}
		if s := w.Stats(); s.Shutdowns[ReasonDrained] != 1 {
			t.Errorf("shutdowns %v", s.Shutdowns)
		}
	})
}

func TestMaximumUsesAndAge(t *testing.T) {
	kind := small()
	kind.MaxUses = 3
	inWorld(t, setup{cfg: Config{Limits: Limits{Types: []InstanceType{kind}, MaxWorkers: 1}}, knobs: workerpooltest.Knobs{JobTime: 10 * time.Second}}, func(t *testing.T, w *world) {
		w.post(names("j", 7)...)
		w.sleep(10 * time.Minute)
		if _, _, ended := w.queue.Count(); ended != 7 || w.Stats().Creates[ReasonJob] != 3 {
			t.Errorf("%d jobs, %v creates", ended, w.Stats().Creates)
		}
	})
	kind = small()
	kind.MaxAge, kind.Warm = time.Hour, []Warm{{Floor: 1}}
	inWorld(t, setup{cfg: Config{Limits: limits(kind)}}, func(t *testing.T, w *world) {
		w.sleep(5*time.Hour + time.Minute)
		if n := w.Stats().Shutdowns[ReasonDrained]; n != 5 {
			t.Errorf("%d workers reached their age", n)
		}
	})
}

func TestFloorSpareAndHours(t *testing.T) {
	kind := small()
	kind.Warm = []Warm{{Floor: 1}, {Floor: 4, Spare: 2, During: Hours{From: 2 * time.Hour, To: 3 * time.Hour}}}
	inWorld(t, setup{cfg: Config{Limits: limits(kind)}}, func(t *testing.T, w *world) { // the bubble begins at midnight
		w.sleep(time.Minute)
		w.want(Idle, 1)
		w.sleep(2*time.Hour + time.Minute)
		w.want(Idle, 4)
		w.post("a", "b", "c")
		w.sleep(time.Minute)
		w.want(Running, 3)
		w.want(Idle, 2)
		w.queue.Remove("a", "b", "c")
		w.sleep(58*time.Minute + 30*time.Second)
		w.want(Idle, 1)
	})
}

func TestRefusedInput(t *testing.T) {
	provider := workerpooltest.NewProvider(nil)
	bad := func(change func(*InstanceType)) Config {
		kind := small()
		change(&kind)
		return Config{Limits: Limits{Types: []InstanceType{kind}}}
	}
	for want, cfg := range map[string]Config{
		"Config.Limits.Types[0].Price 0: a type needs a price above zero":               bad(func(t *InstanceType) { t.Price = 0 }),
		"Config.Limits.Types[0].Price NaN: a type needs a price above zero":             bad(func(t *InstanceType) { t.Price = math.NaN() }),
		"Config.Limits.Types[0].Room.Slots 0: a type needs room for one job at least":   bad(func(t *InstanceType) { t.Room = Resources{} }),
		"Config.Limits.Types[0].Room.Memory -1: must be between 0 and 2^50":             bad(func(t *InstanceType) { t.Room.Memory = -1 }),
		`Config.Limits.Types[0].Name "a b": must be 1 to 60 letters, digits and "-_."`:  bad(func(t *InstanceType) { t.Name = "a b" }),
		"Config.Limits.Types[0].Max -1: must not be negative":                           bad(func(t *InstanceType) { t.Max = -1 }),
		"Config.Limits.Types[0].Warm[0].Floor -1: must not be negative":                 bad(func(t *InstanceType) { t.Warm = []Warm{{Floor: -1}} }),
		"Config.Limits.Types[0].Warm[0].During.From 25h0m0s: must be a time of the day": bad(func(t *InstanceType) { t.Warm = []Warm{{During: Hours{From: 25 * time.Hour}}} }),
		"Config.Limits.Types[0].Warm[1].Floor 3: must not be above the type's Max, 2":   bad(func(t *InstanceType) { t.Max, t.Warm = 2, []Warm{{Floor: 2}, {Floor: 3}} }),
		"Config.Limits.Types[0].Warm[0].Floor 65: must not be above MaxWorkers, 64":     bad(func(t *InstanceType) { t.Max, t.Warm = 100, []Warm{{Floor: 65}} }),
		"Config.Limits.Types[0].Warm[0].Spare 5: must not take more workers than the type's Max, 2": bad(func(t *InstanceType) {
			t.Room.Slots, t.Max, t.Warm = 2, 2, []Warm{{Spare: 5}}
		}),
		"Config.Limits.MaxWorkers -1: must not be negative":                                   {Limits: Limits{MaxWorkers: -1}},
		"Config.Limits.MaxPrice -1: must not be negative":                                     {Limits: Limits{MaxPrice: -1}},
		"Config.Limits.PriceFactor 0.5: must be 1 or more":                                    {Limits: Limits{PriceFactor: .5}},
		"Config.Limits.IdleTimeout -1ns: must not be negative":                                {Limits: Limits{IdleTimeout: -1}},
		`Config.Limits.Types[1].Name "small": must not occur twice`:                           {Limits: limits(small(), small())},
		"Config.ProbeInterval -1s: must not be negative":                                      {ProbeInterval: -time.Second},
		"Config.OperationsPerSecond -1: must be above zero, and no less than one in 50 years": {OperationsPerSecond: -1},
		`Config.Name "a/b": must be 1 to 60 letters, digits and "-_."`:                        {Name: "a/b"},
		"Config.Limits.Pauses 1: must be empty: the pool makes them":                          {Limits: Limits{Pauses: []Pause{{}}}},
	} {
		if _, err := New(provider, provider, nil, cfg); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := New(nil, provider, nil, Config{}); err == nil {
		t.Error("a pool without a provider")
	}
	p, err := New(provider, provider, nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Create("small"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before Run: %v", err)
	}
	if err := p.SetIdleBehavior("x", Behavior{Idle: BehaviorHold, Until: time.Unix(1, 0)}); err == nil {
		t.Error("an end in the past")
	}
	if _, err := p.StartJob(Job{ID: "a;b"}); err == nil {
		t.Error("a job id that a shell would take apart")
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"AZaz09-_.": true, "a": true, strings.Repeat("x", 60): true, "0": true, "Z": true, "z": true, "9": true, "_": true,
		"": false, "-x": false, ".x": false, strings.Repeat("x", 61): false, "a/b": false, "a b": false, "ä": false,
		"broken": false, "broken.1": true, "stale": true, "a@": false, "a[": false, "a`": false, "a{": false, "a:": false, "a$": false, "a\n": false, "a,": false,
	} {
		if err := (&Job{ID: JobID(name)}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Types without a quota group have quotas of their own.
func TestQuotaGroupDefaultsToTheType(t *testing.T) {
	a, b := small(), large()
	a.QuotaGroup, b.QuotaGroup = "", ""
	inWorld(t, setup{cfg: Config{Limits: limits(a, b)}, knobs: workerpooltest.Knobs{Quota: map[string]int{"small": 0}}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		if w.TypeCounts("large")[Running] != 1 || w.AtQuota() {
			t.Errorf("large %v, at quota %v", w.TypeCounts("large"), w.AtQuota())
		}
	})
}

func TestLimitsOfCreate(t *testing.T) {
	inWorld(t, setup{noQueue: true, cfg: Config{Limits: Limits{MaxWorkers: 3, MaxCreating: 2}}, knobs: workerpooltest.Knobs{CreateDelay: time.Second}}, func(t *testing.T, w *world) {
		reason := func() Reason {
			_, err := w.Create("small")
			var refused *RefusedError
			errors.As(err, &refused)
			if refused == nil {
				return ""
			}
			return refused.Reason
		}
		got := []Reason{reason(), reason(), reason()}
		w.sleep(2 * time.Second)
		got = append(got, reason(), reason())
		if want := []Reason{"", "", ReasonMaxCreating, "", ReasonMaxWorkers}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if !w.AtQuota() {
			t.Error("not at quota")
		}
		if _, err := w.Create("unheard"); err == nil {
			t.Error("a type that is not configured")
		}
	})
}

// What the parts of the cost add up to, and that a job pays for its worker.
func TestCostAddsUp(t *testing.T) {
	two := large()
	two.Room = Resources{Slots: 2}
	knobs := workerpooltest.Knobs{BootTime: time.Minute, JobTime: 30 * time.Minute, DestroyTakes: 30 * time.Second, JobTimes: map[JobID]time.Duration{"b": time.Hour}}
	inWorld(t, setup{cfg: Config{Limits: limits(two)}, knobs: knobs}, func(t *testing.T, w *world) {
		w.post("a", "b", "c")
		w.sleep(3 * time.Hour)
		if n := w.Counts().Total; n != 0 {
			t.Fatalf("%d workers are left", n)
		}
		c, jobs := w.Cost(), 0.0
		for _, r := range w.queue.Records() {
			jobs += r.Cost
		}
		if math.Abs(c.Busy-jobs) > 1e-9 || math.Abs(c.Total-c.Busy-c.Idle-c.Booting-c.Leaving) > 1e-9 {
			t.Errorf("cost %+v, jobs %v", c, jobs)
		}
		// Two workers at 3 an hour: a and b share one for half an hour, then b has it alone; c has one for half an hour.
		if want := 3 * 1.5; c.Busy < want || c.Busy > want+.05 {
			t.Errorf("busy %v, want about %v", c.Busy, want)
		}
		if c.PerHour > 1e-9 || c.Booting < 3*2./60 || c.Idle < 3*2./60 || c.Leaving < 3*1./60 {
			t.Errorf("cost %+v", c)
		}
	})
}

func TestOverloadLowersTheNumberOfJobs(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{JobTime: 20 * time.Second}}, func(t *testing.T, w *world) {
		w.post(names("j", 300)...)
		w.sleep(15 * time.Second)
		before := w.Counts().Jobs
		w.Overloaded()
		w.sleep(30 * time.Second)
		if after := w.Counts().Jobs; before < 10 || after >= before {
			t.Errorf("%d jobs before, %d after", before, after)
		}
		w.sleep(time.Hour)
		if waiting, _, _ := w.queue.Count(); waiting != 0 {
			t.Errorf("%d jobs wait for ever", waiting)
		}
	})
}

func TestSubscribe(t *testing.T) {
	inWorld(t, setup{noQueue: true}, func(t *testing.T, w *world) {
		ch, stop := w.Subscribe()
		for range 10 {
			_, _ = w.Create("small")
		}
		w.sleep(time.Second)
		<-ch
		select {
		case <-ch:
			t.Error("changes were not joined")
		default:
		}
		stop()
		w.sleep(time.Minute)
		select {
		case <-ch:
			t.Error("told after the end of the subscription")
		default:
		}
	})
}

func TestRunEndsWhateverIsUnderWay(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{CreateDelay: time.Hour, ListDelay: 10 * time.Millisecond}}, func(t *testing.T, w *world) {
		w.post(names("j", 5)...)
		w.sleep(time.Second)
		w.stop()
		if err := w.Pool.Run(t.Context()); err == nil {
			t.Error("Run can be called twice")
		}
		if err := w.Shutdown("x"); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after Run: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // begun and ended at once, many times
		for range 50 {
			w := &world{T: t, provider: workerpooltest.NewProvider(nil), queue: workerpooltest.NewQueue(nil)}
			w.begin(setup{})
			w.stop()
		}
	})
}
