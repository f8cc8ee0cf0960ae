package workerpool_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// A hold is for what the provider's error was about: the offering of a type in its zone, bought in its way; its quota group; or all.
func TestHoldIsForWhatTheErrorWasAbout(t *testing.T) {
	kind := func(name, zone, purchase, group string) InstanceType {
		k := small()
		k.Name, k.Zone, k.Purchase, k.QuotaGroup = name, zone, purchase, group
		return k
	}
	types := []InstanceType{kind("a", "z1", "", "p"), kind("b", "z1", "", "q"), kind("c", "z2", "", "p"), kind("d", "z1", "spot", "p")}
	for _, test := range []struct {
		scope Scope
		key   string
		want  []string
	}{
		{ScopeOffering, "offering/p.small/z1/", []string{"a", "b"}},
		{ScopeGroup, "group/p", []string{"a", "c", "d"}},
		{ScopeAll, "all", []string{"a", "b", "c", "d"}},
	} {
		t.Run(test.key, func(t *testing.T) {
			knobs := workerpooltest.Knobs{Capacity: map[string]int{"p.small": 0}, CapacityScope: test.scope}
			inWorld(t, setup{noQueue: true, cfg: Config{Limits: limits(types...)}, knobs: knobs}, func(t *testing.T, w *world) {
				if _, err := w.Create("a"); err != nil {
					t.Fatal(err)
				}
				w.sleep(time.Second)
				if p := w.Pauses(); len(p) != 1 || p[0].Key != test.key || !slices.Equal(slices.Sorted(slices.Values(p[0].Types)), test.want) {
					t.Errorf("pauses %+v, want %s for %v", p, test.key, test.want)
				}
				for _, k := range types {
					_, err := w.Create(k.Name)
					if held := slices.Contains(test.want, k.Name); (err != nil) != held {
						t.Errorf("%s: %v, held is %v", k.Name, err, held)
					}
				}
			})
		})
	}
}

// After a hold one trial is made; each that succeeds doubles the number of those that may be under way.
func TestTrialsDouble(t *testing.T) {
	knobs := workerpooltest.Knobs{Quota: map[string]int{"p": 0}, CreateDelay: 10 * time.Second}
	cfg := Config{OperationsPerSecond: 100, Limits: Limits{MaxCreating: 100}}
	inWorld(t, setup{cfg: cfg, knobs: knobs}, func(t *testing.T, w *world) {
		w.post(names("j", 31)...)
		w.sleep(12 * time.Second)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.Quota = nil })
		pauses := w.Pauses()
		if len(pauses) != 1 || pauses[0].Allow != 0 {
			t.Fatalf("pauses %+v", pauses)
		}
		w.sleep(time.Until(pauses[0].Until))
		for _, want := range []int{1, 2, 8, 20} { // under way, 10 seconds each; the two together allow four times as many
			w.sleep(2 * time.Second)
			w.want(Pending, want)
			w.sleep(8*time.Second + 500*time.Millisecond)
		}
		if p := w.Pauses(); len(p) != 0 {
			t.Errorf("it never ends: %+v", p)
		}
		w.want(Running, 31)
	})
}

// A worker of the quota group that goes ends the wait, however long it has grown.
func TestWorkerThatGoesEndsTheWaitForAQuota(t *testing.T) {
	s := setup{
		cfg:   Config{Limits: Limits{Types: []InstanceType{small(), large()}, PriceFactor: 10}},
		knobs: workerpooltest.Knobs{Quota: map[string]int{"p": 1}, JobTimes: map[JobID]time.Duration{"long": 40 * time.Minute}},
	}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.post("long")
		w.sleep(10 * time.Second)
		w.queue.Add(Job{ID: "big", Needs: Resources{Slots: 3}})
		w.Wake()
		w.sleep(39 * time.Minute)
		if p := w.Pauses(); len(p) != 1 || time.Until(p[0].Until) < 15*time.Minute {
			t.Fatalf("pauses %+v", p)
		}
		w.sleep(90 * time.Second)
		if _, worker, _, _, _ := w.queue.State("big"); worker == "" {
			t.Errorf("the quota is free and %v are waited for: %+v", w.Pauses(), w.Counts())
		}
	})
}

// A rate limit of listings holds no creates, and one of creates no listings.
func TestListingsAndCreatesAreHeldApart(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		until := time.Now().Add(20 * time.Minute)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListRetryAt = until })
		w.sleep(2 * time.Minute) // the next listing is told so
		lists := w.provider.Calls("list")
		w.post("a")
		w.sleep(10 * time.Minute)
		w.want(Running, 1)
		if n := w.provider.Calls("list") - lists; n != 0 {
			t.Errorf("%d listings although the provider wanted a pause", n)
		}
		w.sleep(10 * time.Minute)
		lists = w.provider.Calls("list")
		w.provider.Configure(func(k *workerpooltest.Knobs) {
			k.CreateError = func(Order) error { return &workerpooltest.RateLimitError{Retry: until.Add(time.Hour)} }
		})
		w.post("b")
		w.sleep(10 * time.Minute)
		if n := w.provider.Calls("list") - lists; n < 9 {
			t.Errorf("%d listings in ten minutes", n)
		}
		if n := w.Stats().CreateErrors[ReasonRateLimit]; n != 1 {
			t.Errorf("%d creates although the provider wanted a pause", n)
		}
	})
}

// A job that the queue believes on a worker, and that is on none, may have been begun by a manager that was killed: it arrives within
// StaleTime, however soon every worker has answered.
func TestNothingIsReleasedBeforeTheStaleTime(t *testing.T) {
	s := setup{before: func(w *world) { w.queue.Add(Job{ID: "nowhere", State: JobAssigned}) }, cfg: Config{StaleTime: 5 * time.Minute}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.sleep(5*time.Minute - time.Second)
		if n := w.Stats().Records[Released]; n != 0 || w.Recovered() {
			t.Errorf("%d released, recovered is %v", n, w.Recovered())
		}
		w.sleep(20 * time.Second)
		if n := w.Stats().Records[Released]; n != 1 || !w.Recovered() {
			t.Errorf("%d released, recovered is %v", n, w.Recovered())
		}
	})
}

// Three workers that fail together, though they are all there are, are shut down: the brake is for more.
func TestNoBrakeForAFew(t *testing.T) {
	cfg := Config{ProbeTimeout: 5 * time.Minute, Limits: Limits{IdleTimeout: 24 * time.Hour}}
	for n, want := range map[int]uint64{3: 3, 4: 0} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, setup{cfg: cfg, dirty: true}, func(t *testing.T, w *world) {
				w.post(names("j", n)...)
				w.sleep(10 * time.Second)
				for _, in := range w.provider.Instances() {
					w.provider.Freeze(in.ID)
				}
				w.sleep(7 * time.Minute)
				if got := w.Stats().Shutdowns[ReasonProbeTimeout]; got != want {
					t.Errorf("of %d that fail %d were shut down, want %d", n, got, want)
				}
			})
		})
	}
}

// A listing that lacks two of three must be confirmed by two more, one that lacks half of four, or both of two, need not be.
func TestWhichListingsMustBeConfirmed(t *testing.T) {
	for _, test := range []struct {
		workers, missing int
		braked           uint64
	}{{2, 2, 0}, {3, 1, 0}, {3, 2, 2}, {4, 2, 0}, {4, 3, 2}} {
		t.Run(fmt.Sprint(test.missing, " of ", test.workers), func(t *testing.T) {
			inWorld(t, setup{dirty: true}, func(t *testing.T, w *world) {
				w.post(names("j", test.workers)...)
				w.sleep(90 * time.Second)
				w.want(Running, test.workers)
				w.provider.Configure(func(k *workerpooltest.Knobs) {
					k.CreateError = func(Order) error { return &workerpooltest.QuotaError{Group: "p"} }
				})
				for _, in := range w.provider.Instances()[:test.missing] {
					w.provider.Crash(in.ID)
				}
				w.sleep(4 * time.Minute)
				w.want(Running, test.workers-test.missing)
				if s := w.Stats(); s.BrakedListings != test.braked || s.Records[Lost] != uint64(test.missing) {
					t.Errorf("%d listings were not believed, want %d; %d jobs are lost", s.BrakedListings, test.braked, s.Records[Lost])
				}
			})
		})
	}
}

// Who holds a worker, and why, is kept as a provider can keep it and as it can be shown.
func TestTextsOfAHold(t *testing.T) {
	inWorld(t, setup{noQueue: true}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		id := w.first().ID
		if err := w.SetIdleBehavior(id, Behavior{Idle: BehaviorHold, Owner: "ann\nroot", Reason: "disk\x00 \xff is\u202e full"}); err != nil {
			t.Fatal(err)
		}
		w.sleep(2 * time.Minute)
		want := Behavior{Idle: BehaviorHold, Owner: "ann root", Reason: "disk\uFFFD \uFFFD is\uFFFD full"}
		if b := w.first().Behavior; b != want {
			t.Errorf("behavior %+q", b)
		}
		kept := 0
		for _, tag := range w.provider.Instances()[0].Tags {
			if tag == want.Owner || tag == want.Reason {
				kept++
			}
		}
		if kept != 2 || len(w.told(EventTags)) != 0 {
			t.Errorf("tags %q, events %v", w.provider.Instances()[0].Tags, w.told(EventTags))
		}
		x, err := w.ExplainWorker(id)
		if err != nil || !strings.Contains(x.Text, `"ann root" put it on hold ("disk`) {
			t.Errorf("%s, %v", x.Text, err)
		}
	})
}

// A hold that ended while no manager ran is over for the next one.
func TestHoldThatEndedMeanwhile(t *testing.T) {
	inWorld(t, setup{noQueue: true}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		if err := w.SetIdleBehavior(w.first().ID, Behavior{Idle: BehaviorHold, Owner: "ann", Until: time.Now().Add(10 * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		w.sleep(5 * time.Second)
		w.stop()
		w.sleep(time.Hour)
		w.begin(setup{noQueue: true})
		w.sleep(5 * time.Second)
		if b := w.first().Behavior; b != (Behavior{}) {
			t.Errorf("an hour later: %+v", b)
		}
		w.sleep(2 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers", n)
		}
	})
}

// A hold lasts at least as long as was asked for, though its tag counts whole seconds, and one that lasts beyond all years ends
// with the last one.
func TestEndOfAHoldIsNotCutShort(t *testing.T) {
	kind := small()
	kind.Warm = []Warm{{Floor: 1}}
	inWorld(t, setup{noQueue: true, cfg: Config{Limits: limits(kind)}}, func(t *testing.T, w *world) {
		w.sleep(time.Minute)
		id := w.first().ID
		until := time.Now().Add(1900 * time.Millisecond)
		if err := w.SetIdleBehavior(id, Behavior{Idle: BehaviorHold, Owner: "ann", Until: until}); err != nil {
			t.Fatal(err)
		}
		w.sleep(1899 * time.Millisecond)
		if b := w.first().Behavior; b.Idle != BehaviorHold || b.Until.Before(until) {
			t.Errorf("before its end: %+v", b)
		}
		w.sleep(2 * time.Second)
		if b := w.first().Behavior; b.Idle != BehaviorRun {
			t.Errorf("after its end: %+v", b)
		}
		if err := w.SetIdleBehavior(id, Behavior{Idle: BehaviorHold, Owner: "ann", Until: time.Now().AddDate(9000, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		w.restart(setup{noQueue: true, cfg: Config{Limits: limits(kind)}})
		w.sleep(time.Minute)
		if b := w.first().Behavior; b.Idle != BehaviorHold || len(w.told(EventTags)) != 0 {
			t.Errorf("after a restart: %+v, %v", b, w.told(EventTags))
		}
	})
}
