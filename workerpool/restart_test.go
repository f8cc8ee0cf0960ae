package workerpool_test

import (
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// What a worker was used for, and what the pool has cost, outlive the manager.
func TestUsesAndCostsSurviveARestart(t *testing.T) {
	kind := small()
	kind.MaxUses, kind.Warm = 3, []Warm{{Floor: 1}}
	s := setup{cfg: Config{Limits: Limits{Types: []InstanceType{kind}, MaxWorkers: 1}}, knobs: workerpooltest.Knobs{JobTime: 10 * time.Second}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.post(names("a", 2)...)
		w.sleep(5 * time.Minute)
		spent := w.Cost()
		first := w.first().ID
		w.stop()
		s.cfg.Spent = spent
		w.begin(s)
		w.sleep(time.Minute)
		if got := w.first(); got.ID != first || got.Uses != 2 {
			t.Errorf("after the restart worker %s has %d uses, want %s with 2", got.ID, got.Uses, first)
		}
		if now := w.Cost(); now.Total <= spent.Total || now.Busy < spent.Busy {
			t.Errorf("spent %+v before, %+v after", spent, now)
		}
		w.post("b")
		w.sleep(5 * time.Minute)
		if w.first().ID == first {
			t.Error("it was used a third time and is still there")
		}
		if _, _, ended := w.queue.Count(); ended != 3 {
			t.Errorf("%d jobs ended", ended)
		}
	})
}

// A count that a provider has garbled is not believed.
func TestUsesThatCannotBeRead(t *testing.T) {
	kind := small()
	kind.MaxUses = 3
	for _, text := range []string{"-1", "many", "99999999999"} {
		inWorld(t, setup{cfg: Config{Limits: limits(kind)}, before: func(w *world) {
			w.provider.Adopt(Instance{ID: "i-old", Tags: map[string]string{"dormouse-pool": "default", "dormouse-type": kind.Name, "dormouse-uses": text}})
		}}, func(t *testing.T, w *world) {
			w.sleep(10 * time.Second)
			if got := w.first().Uses; got != 0 {
				t.Errorf("tag %q is %d uses", text, got)
			}
		})
	}
}
