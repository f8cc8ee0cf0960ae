package workerpool_test

import (
	"errors"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

var errDown = errors.New("the provider is down")

// A listing that fails says nothing.
func TestListingThatFailsDropsNothing(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post(names("j", 4)...)
		w.sleep(90 * time.Second)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListError = errDown })
		w.sleep(time.Hour)
		w.want(Running, 4)
		if s := w.Stats(); s.ListingErrors == 0 || s.Disappeared != 0 || s.Records[Lost] != 0 {
			t.Errorf("stats %+v", s)
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListError = nil })
		w.sleep(5 * time.Minute)
		w.want(Running, 4)
	})
}

// An answer that was lost makes no second worker: the listing shows by its secret which create it was.
func TestLostAnswerMakesNoSecondWorker(t *testing.T) {
	lose := func(Order) bool { return true }
	inWorld(t, setup{knobs: workerpooltest.Knobs{LoseAnswer: lose}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(20 * time.Second)
		w.want(Running, 1)
		if w.provider.Peak() != 1 || w.Counts().Total != 1 || w.provider.Runs("a") != 1 {
			t.Errorf("%d instances at most, %d workers, %d runs", w.provider.Peak(), w.Counts().Total, w.provider.Runs("a"))
		}
	})
}

// A provider that returns one id for every create has one instance, as far as the pool is concerned.
func TestOneIDForTwoCreates(t *testing.T) {
	inWorld(t, setup{noQueue: true, knobs: workerpooltest.Knobs{SameID: "i-same"}}, func(t *testing.T, w *world) {
		for range 3 {
			_, _ = w.Create("small")
		}
		w.sleep(5 * time.Second)
		for _, worker := range w.Workers() {
			if worker.ID != "i-same" && worker.State != Pending {
				t.Errorf("%+v", worker)
			}
		}
		n := 0
		for _, worker := range w.Workers() {
			if worker.ID == "i-same" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d workers of one id", n)
		}
	})
}

// A destroy that fails is repeated until the instance is gone, and counts against the limits meanwhile.
func TestDestroyThatFailsIsRepeated(t *testing.T) {
	cfg := Config{Limits: Limits{MaxWorkers: 1}}
	inWorld(t, setup{cfg: cfg, noQueue: true, knobs: workerpooltest.Knobs{DestroyError: errDown}}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		_ = w.Shutdown(w.first().ID)
		w.sleep(10 * time.Minute)
		w.want(Shutdown, 1)
		if n := w.Stats().DestroyErrors; n < 4 || n > 10 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if _, err := w.Create("small"); err == nil {
			t.Error("another one was created beyond the limit")
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.DestroyError = nil })
		w.sleep(6 * time.Minute)
		if n := w.Counts().Total; n != 0 {
			t.Errorf("%d workers", n)
		}
	})
}

// A hold that could not be saved is saved later, so that the next process knows it.
func TestTagsThatCouldNotBeSavedAreSavedLater(t *testing.T) {
	inWorld(t, setup{noQueue: true}, func(t *testing.T, w *world) {
		_, _ = w.Create("small")
		w.sleep(5 * time.Second)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.TagError = errDown })
		_ = w.SetIdleBehavior(w.first().ID, Behavior{Idle: BehaviorHold, Owner: "ann"})
		w.sleep(10 * time.Minute)
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.TagError = nil })
		w.sleep(5 * time.Minute)
		w.restart(setup{noQueue: true})
		w.sleep(10 * time.Minute)
		if got := w.first().Behavior; got.Idle != BehaviorHold || got.Owner != "ann" {
			t.Errorf("after a restart: %+v", got)
		}
	})
}

// A worker that says of itself that it is broken gets no more jobs, and goes when those that it has are over.
func TestWorkerThatSaysItIsBroken(t *testing.T) {
	knobs := workerpooltest.Knobs{JobTime: 5 * time.Minute, Broken: func(id InstanceID) bool { return id == "i-00001" }}
	inWorld(t, setup{cfg: Config{Limits: limits(large())}, knobs: workerpooltest.Knobs{JobTime: 5 * time.Minute}}, func(t *testing.T, w *world) {
		w.post("a")
		w.sleep(10 * time.Second)
		w.provider.Configure(func(k *workerpooltest.Knobs) { *k = knobs })
		w.sleep(15 * time.Second)
		if b := w.first().Behavior; b.Idle != BehaviorDrain || b.Reason != string(ReasonBroken) {
			t.Errorf("behavior %+v", b)
		}
		w.post("b")
		w.sleep(time.Minute)
		if _, worker, _, _, _ := w.queue.State("b"); worker == "" || worker == "i-00001" {
			t.Errorf("b is on %q", worker)
		}
		w.sleep(4 * time.Minute)
		if _, _, _, _, ended := w.queue.State("a"); !ended || w.Stats().Records[Lost] != 0 {
			t.Errorf("a has ended: %v; records %v", ended, w.Stats().Records)
		}
		if _, err := w.Worker("i-00001"); !errors.Is(err, ErrUnknownWorker) {
			t.Errorf("it is still there: %v", err)
		}
	})
}
