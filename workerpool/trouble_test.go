package workerpool_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// Bad answers of a provider, and how far their harm goes.

func TestStrangeListings(t *testing.T) {
	foreign := adopted("i-foreign", "small", "pool", "another")
	bare := Instance{ID: "i-bare", ProviderType: "small"}
	s := setup{noQueue: true, knobs: workerpooltest.Knobs{ListTwice: true, ListExtra: []Instance{foreign, bare, {}}}}
	inWorld(t, s, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(70 * time.Second)
		if n := w.provider.Calls("destroy"); n > 1 || w.Counts().Total != 0 {
			t.Errorf("%d destroys, %v", n, w.Counts())
		}
		var texts []string
		for _, e := range w.told(EventListing) {
			texts = append(texts, e.Text)
		}
		for _, want := range []string{`its pool is "another"; it is left alone`, `its pool is ""; it is left alone`, "an instance without an id"} {
			if !slices.Contains(texts, want) {
				t.Errorf("%q was not told: %q", want, texts)
			}
		}
	})
}

func TestTagsThatAProviderCuts(t *testing.T) {
	s := setup{before: func(w *world) {
		w.provider.Adopt(adopted("i-a", "small", "behavior", "ho", "created", "17", "until", "never", "secret", "abc"))
		w.provider.Adopt(adopted("i-b", "smal"))
	}, knobs: workerpooltest.Knobs{TagsLost: true}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.sleep(10 * time.Second)
		a, err := w.Worker("i-a")
		if err != nil || a.Behavior.Idle != BehaviorRun || a.State != Idle {
			t.Errorf("%+v, %v", a, err)
		}
		if got := w.told(EventTags); len(got) == 0 || got[0].Worker != "i-a" {
			t.Errorf("told %v", got)
		}
		w.sleep(10 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers stay: one whose type is not known must go too", n)
		}
	})
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{TagBytes: 5}}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		_ = w.SetIdleBehavior(w.first().ID, Behavior{Idle: BehaviorHold, Owner: "somebody with a long name"})
		w.sleep(time.Hour)
		if n := w.provider.Calls("set_tags"); n > 3 {
			t.Errorf("tags that the provider does not keep were set %d times", n)
		}
		if w.Counts().Total > 0 && w.first().Behavior.Idle != BehaviorHold {
			t.Errorf("%+v", w.first().Behavior)
		}
	})
}

func TestCommandsThatFloodPanicOrTalkNonsense(t *testing.T) {
	for name, change := range map[string]func(*workerpooltest.Knobs){
		"a megabyte": func(k *workerpooltest.Knobs) { k.Flood = 1 << 20 },
		"panic":      func(k *workerpooltest.Knobs) { k.Panic = true },
		"nonsense":   func(k *workerpooltest.Knobs) { k.Garbage = "Last login: yesterday from afar\n" },
		"many jobs":  func(k *workerpooltest.Knobs) { k.Garbage = strings.Repeat("job\n", 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, setup{cfg: Config{ProbeTimeout: 2 * time.Minute, Limits: Limits{IdleTimeout: time.Hour}}, dirty: true}, func(t *testing.T, w *world) {
				w.post("a")
				w.sleep(10 * time.Second)
				w.want(Running, 1)
				w.provider.Configure(change)
				w.sleep(time.Minute)
				if got := w.first(); got.State != Running || got.FailingSince.IsZero() || len(got.Jobs) != 1 {
					t.Errorf("%+v", got)
				}
				w.provider.Configure(func(k *workerpooltest.Knobs) { *k = workerpooltest.Knobs{} })
				w.sleep(20 * time.Second)
				if got := w.first(); !got.FailingSince.IsZero() || w.provider.Runs("a") != 1 {
					t.Errorf("it did not recover: %+v", got)
				}
			})
		})
	}
}

// What a worker says of a job is what is recorded of it; whatever else it says is no answer.
func TestWhatAWorkerSaysOfAJob(t *testing.T) {
	for line, want := range map[string]struct {
		ended bool
		exit  int
	}{
		"a": {}, "a exit 3": {true, 3}, "a stale": {true, ExitUnknown},
		"a exit": {}, "a exit three": {}, "a exit 3 4": {}, "a ended": {}, "../a": {}, "broken": {true, ExitUnknown}, // and no job
	} {
		t.Run(line, func(t *testing.T) {
			inWorld(t, setup{dirty: true}, func(t *testing.T, w *world) {
				w.post("a")
				w.sleep(15 * time.Second)
				w.provider.Configure(func(k *workerpooltest.Knobs) { k.Garbage = line + "\n" })
				w.sleep(15 * time.Second)
				if _, _, _, exit, ended := w.queue.State("a"); ended != want.ended || exit != want.exit {
					t.Errorf("ended is %v with %d, want %v with %d", ended, exit, want.ended, want.exit)
				}
			})
		})
	}
}

// More than 45 % and more than 3 that fail together are not destroyed for it.
func TestBrakeForMassFailure(t *testing.T) {
	cfg := Config{OperationsPerSecond: 100, ProbeTimeout: 5 * time.Minute, Limits: Limits{IdleTimeout: 24 * time.Hour}}
	inWorld(t, setup{cfg: cfg, dirty: true}, func(t *testing.T, w *world) {
		w.post(names("j", 10)...)
		w.sleep(10 * time.Second)
		all := w.provider.Instances()
		for _, in := range all[:5] {
			w.provider.Freeze(in.ID)
		}
		w.sleep(time.Hour)
		w.want(Running, 10)
		if c := w.Counts(); c.Failing != 5 || !c.Braked || len(w.told(EventBrake)) != 1 {
			t.Errorf("%+v, told %v", c, w.told(EventBrake))
		}
		w.provider.Thaw(all[0].ID) // four of ten are not too many
		w.sleep(6 * time.Minute)
		if n := w.Stats().Shutdowns[ReasonProbeTimeout]; n != 4 || len(w.told(EventBrakeReleased)) != 1 {
			t.Errorf("%d shut down", n)
		}
	})
	inWorld(t, setup{cfg: cfg, dirty: true}, func(t *testing.T, w *world) {
		w.post(names("j", 10)...)
		w.sleep(10 * time.Second)
		for _, in := range w.provider.Instances() {
			w.provider.Freeze(in.ID)
		}
		w.sleep(10 * time.Minute)
		w.ReleaseBrakes(time.Minute)
		w.sleep(10 * time.Second)
		if n := w.Stats().Shutdowns[ReasonProbeTimeout]; n != 10 {
			t.Errorf("the operator said that they are lost, and %d were shut down", n)
		}
	})
}

// Workers that do not become ready are replaced one at a time, more and more rarely.
func TestWorkersThatNeverBoot(t *testing.T) {
	knobs := workerpooltest.Knobs{NeverReady: func(InstanceID) bool { return true }}
	inWorld(t, setup{cfg: Config{BootTimeout: 5 * time.Minute}, knobs: knobs}, func(t *testing.T, w *world) {
		w.post(names("j", 10)...)
		w.sleep(6 * time.Hour)
		if n := w.provider.Calls("create"); n < 15 || n > 30 {
			t.Errorf("%d creates in six hours", n)
		}
		x, err := w.ExplainJob("j0001")
		if err != nil || x.Reason != ReasonBootFailed && x.Reason != ReasonWorkerBooting {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

func TestTryNow(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{Capacity: map[string]int{"p.small": 0}}}, func(t *testing.T, w *world) {
		w.post("a", "b", "c")
		w.sleep(65 * time.Minute)
		pauses := w.Pauses()
		if len(pauses) != 1 || pauses[0].Reason != ReasonCapacity || pauses[0].Allow != 0 {
			t.Fatalf("pauses %+v", pauses)
		}
		x, err := w.ExplainJob("a")
		if err != nil || x.Reason != ReasonCapacity || !x.Until.Equal(pauses[0].Until) || !strings.Contains(x.Text, "no more capacity") {
			t.Errorf("%+v, %v", x, err)
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.Capacity = nil })
		before := w.provider.Calls("create")
		if !w.TryNow(pauses[0].Key) || w.TryNow("nothing") {
			t.Error("TryNow")
		}
		w.sleep(120 * time.Millisecond) // the calls of the provider have a pace
		if n := w.provider.Calls("create") - before; n != 1 {
			t.Errorf("%d trials at once", n)
		}
		w.sleep(10 * time.Second)
		w.want(Running, 3)
	})
}

// A provider that throttles, has a low quota for ten minutes and then none: how long the queue takes against the ideal, in
// which every create is asked for at the first instant at which it is granted.
func TestThrottledProviderThatRecovers(t *testing.T) {
	const jobs, perWindow, window, runs = 120, 10, time.Minute, 5 * time.Minute
	cfg := Config{Limits: Limits{MaxWorkers: jobs, MaxCreating: jobs}, OperationsPerSecond: 100}
	knobs := workerpooltest.Knobs{RateLimit: perWindow, RateWindow: window, Quota: map[string]int{"p": 15}, BootTime: 30 * time.Second, JobTime: runs}
	inWorld(t, setup{cfg: cfg, knobs: knobs}, func(t *testing.T, w *world) {
		w.post(names("j", jobs)...)
		begun := time.Now()
		w.sleep(10 * time.Minute)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.Quota = nil })
		for ended := 0; ended < jobs; _, _, ended = w.queue.Count() {
			w.sleep(10 * time.Second)
			if time.Since(begun) > 3*time.Hour {
				t.Fatalf("%d jobs have ended after three hours", ended)
			}
		}
		// 15 workers end 15 jobs in 5.5 minutes and 15 more in ten; the other 90 need 75 more workers, 10 a minute, of which
		// the last runs 5.5 minutes.
		ideal := 10*time.Minute + 75/perWindow*window + runs + 30*time.Second
		took := time.Since(begun)
		t.Logf("the queue was empty after %s; ideal about %s; %d refusals", took.Round(time.Second), ideal, w.Stats().CreateErrors[ReasonQuota]+w.Stats().CreateErrors[ReasonRateLimit])
		if took > ideal*13/10 {
			t.Errorf("it took %s, the ideal is about %s", took, ideal)
		}
		if n := w.Stats().CreateErrors[ReasonRateLimit]; n > 15 {
			t.Errorf("%d creates while the provider wanted a pause", n)
		}
	})
}

func TestCapacityOfOneTypeFallsBackToAnother(t *testing.T) {
	cfg := Config{Limits: limits(small(), large())}
	inWorld(t, setup{cfg: cfg, knobs: workerpooltest.Knobs{Capacity: map[string]int{"p.small": 1}}}, func(t *testing.T, w *world) {
		w.post(names("j", 5)...)
		w.sleep(time.Minute)
		if got := w.TypeCounts("large"); got[Running] != 1 || w.TypeCounts("small")[Running] != 1 {
			t.Errorf("large %v, small %v", got, w.TypeCounts("small"))
		}
	})
}

func TestQueueThatFails(t *testing.T) {
	inWorld(t, setup{knobs: workerpooltest.Knobs{JobTime: 20 * time.Second}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(5 * time.Second)
		w.queue.Fail(errors.New("database down"), errors.New("database down"))
		w.sleep(10 * time.Minute)
		w.want(Running, 1) // its end cannot be recorded: the worker keeps it
		w.queue.Fail(nil, nil)
		w.sleep(time.Minute)
		if _, _, _, _, ended := w.queue.State("a"); !ended || w.provider.Runs("a") != 1 {
			t.Error("the end is lost")
		}
	})
}

func TestClaimRefused(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.queue.Fail(nil, errors.New("somebody else has it"))
		w.post("a")
		w.sleep(time.Minute)
		if w.provider.Runs("a") != 0 || w.Stats().ClaimsRefused == 0 {
			t.Errorf("ran %d times, %d refused", w.provider.Runs("a"), w.Stats().ClaimsRefused)
		}
		if n := w.Stats().ClaimsRefused; n > 20 {
			t.Errorf("%d claims of one job in a minute", n)
		}
		w.queue.Fail(nil, nil)
		w.sleep(20 * time.Second)
		if w.provider.Runs("a") != 1 {
			t.Error("it never ran")
		}
	})
}

func TestJobsThatMustNotRun(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post("canceled", "removed", "requeued", "runs")
		w.sleep(10 * time.Second)
		w.queue.SetState("canceled", JobCanceled)
		w.queue.Remove("removed")
		w.queue.SetState("requeued", JobWaiting)
		w.sleep(12 * time.Second)
		if n := w.provider.Calls("kill"); n != 3 || w.provider.Runs("runs") != 1 {
			t.Errorf("%d kills", n)
		}
	})
}

// A job that the pool believed lost, found again while it runs elsewhere, is killed where it was found.
func TestJobFoundTwice(t *testing.T) {
	inWorld(t, setup{dirty: true}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		w.provider.Adopt(adopted("i-twin", "small"), "a")
		w.sleep(65 * time.Second)
		if got := w.told(EventDuplicate); len(got) != 1 || got[0].Worker != "i-twin" {
			t.Errorf("told %v", got)
		}
		if len(w.provider.Running("i-twin")) != 0 || len(w.provider.Running("i-00001")) != 1 {
			t.Errorf("on the twin %v, on its own %v", w.provider.Running("i-twin"), w.provider.Running("i-00001"))
		}
		w.sleep(time.Minute)
		if _, _, _, _, ended := w.queue.State("a"); ended {
			t.Error("the end of the wrong one was recorded")
		}
	})
}

func TestExplainWorker(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		id := w.first().ID
		x, err := w.ExplainWorker(id)
		if err != nil || x.Reason != ReasonBusy || x.Shutdown || !strings.Contains(x.Text, "1 job is on it") {
			t.Errorf("%+v, %v", x, err)
		}
		_ = w.SetIdleBehavior(id, Behavior{Idle: BehaviorHold, Owner: "ann", Reason: "looks at it"})
		_ = w.KillJob("a", "x")
		w.sleep(time.Minute)
		x, err = w.ExplainWorker(id)
		if err != nil || x.Reason != ReasonHeld || !strings.Contains(x.Text, `ann put it on hold ("looks at it")`) {
			t.Errorf("%+v, %v", x, err)
		}
		if _, err := w.ExplainWorker("nobody"); !errors.Is(err, ErrUnknownWorker) {
			t.Error(err)
		}
		if _, err := w.ExplainJob("nothing"); !errors.Is(err, ErrUnknownJob) {
			t.Error(err)
		}
		w.queue.Add(Job{ID: "huge", Needs: Resources{GPUs: 8}})
		w.Wake()
		w.sleep(time.Second)
		if x, err := w.ExplainJob("huge"); err != nil || x.Reason != ReasonNoType {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inWorld(t, setup{cfg: Config{Registerer: registry}, knobs: workerpooltest.Knobs{JobTime: time.Minute}}, func(t *testing.T, w *world) {
		w.post("a", "b")
		w.sleep(30 * time.Second)
		got := gather(t, registry)
		for name, want := range map[string]float64{
			"dormouse_workerpool_workers{pool=default,state=running}":                           2,
			"dormouse_workerpool_slots{pool=default,state=busy}":                                2,
			"dormouse_workerpool_scale_total{direction=out,pool=default,reason=job}":            2,
			"dormouse_workerpool_scale_total{direction=in,pool=default,reason=idle}":            0,
			"dormouse_workerpool_provider_calls_total{operation=create,pool=default,result=ok}": 2,
			"dormouse_workerpool_boots_total{pool=default,result=ok}":                           2,
			"dormouse_workerpool_price_per_hour{pool=default}":                                  2,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		if _, err := New(w.provider, w.provider, nil, Config{Registerer: registry}); err == nil {
			t.Error("two pools of one name on one registerer")
		}
	})
	if left := gather(t, registry); len(left) != 0 {
		t.Errorf("after Run: %v", left)
	}
}

func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}
