package workerpool_test

import (
	"errors"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// outage lets nothing be listed and nobody answer for a time, while somebody asks for listings all the time.
func (w *world) outage(d time.Duration) {
	w.provider.Configure(func(k *workerpooltest.Knobs) {
		k.ListOmit = func(InstanceID) bool { return true }
		k.CommandError = func(InstanceID, string) error { return errors.New("no route") }
	})
	for end := time.Now().Add(d); time.Now().Before(end); w.sleep(time.Second) {
		w.TryNow("listing")
	}
	w.provider.Configure(func(k *workerpooltest.Knobs) { k.ListOmit, k.CommandError = nil, nil })
}

// Listings that are made early, because somebody destroys a worker or asks for it, confirm nothing: an outage of less than two
// intervals loses no job.
func TestListingsThatConfirmAreAnIntervalApart(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post(names("j", 6)...)
		w.sleep(90 * time.Second)
		w.want(Running, 6)
		w.outage(100 * time.Second)
		w.sleep(5 * time.Minute)
		w.want(Running, 6)
		if s := w.Stats(); s.Records[Lost] != 0 || s.BrakedListings < 10 {
			t.Errorf("%d jobs are lost, %d listings were not believed", s.Records[Lost], s.BrakedListings)
		}
	})
}

// A worker that is not listed is not dropped while it has not been heard whether it answers.
func TestMissingWorkerThatAnswersSlowly(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post(names("j", 4)...)
		w.sleep(90 * time.Second)
		w.want(Running, 4)
		w.provider.Configure(func(k *workerpooltest.Knobs) {
			k.CommandTime = 20 * time.Second
			k.ListOmit = func(id InstanceID) bool { return id == "i-00001" }
		})
		w.sleep(15 * time.Second) // a slow probe is under way
		for range 10 {
			w.TryNow("listing")
			w.sleep(4 * time.Second)
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { k.CommandTime, k.ListOmit = 0, nil })
		w.sleep(5 * time.Minute)
		w.want(Running, 4)
		if lost := w.Stats().Records[Lost]; lost != 0 {
			t.Errorf("%d jobs are lost", lost)
		}
	})
}

// One that neither is listed nor answers is dropped as soon as both are known.
func TestMissingWorkerIsDroppedSoon(t *testing.T) {
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.post(names("j", 4)...)
		w.sleep(90 * time.Second)
		w.provider.Crash("i-00001")
		w.TryNow("listing")
		w.sleep(8 * time.Second)
		if lost := w.Stats().Records[Lost]; lost != 1 {
			t.Errorf("%d jobs are lost", lost)
		}
	})
}
