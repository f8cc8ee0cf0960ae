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

// What a worker costs between the last note of a killed manager and its discovery by the next is not lost, nor counted twice.
// Of one that was created after the note, the time since its creation is.
func TestCostsSinceTheLastNote(t *testing.T) {
	kind := small()
	kind.Price, kind.Warm = 3.6, []Warm{{Floor: 1}}
	s := setup{cfg: Config{Limits: limits(kind)}}
	inWorld(t, s, func(t *testing.T, w *world) {
		w.sleep(5 * time.Minute)
		note := w.Cost()
		w.sleep(10 * time.Minute) // and nobody notes what it costs
		exact := w.Cost().Total
		w.stop()
		down := time.Now()
		w.sleep(10 * time.Minute)
		s.cfg.Spent = note
		w.begin(s)
		w.sleep(time.Minute)
		exact += kind.Price * time.Since(down).Hours()
		if got := w.Cost().Total; got < exact-0.001 || got > exact+0.001 {
			t.Errorf("cost %.4f after the restart, want %.4f", got, exact)
		}
		w.stop()
		s.cfg.Spent = Cost{At: time.Now().Add(-100 * time.Hour)}
		w.begin(s)
		w.sleep(time.Minute)
		age := time.Since(w.first().CreatedAt).Hours()
		if got := w.Cost().Total; got < kind.Price*age-0.001 || got > kind.Price*age+0.001 {
			t.Errorf("cost %.4f of a worker that is %.2f hours old, want %.4f", got, age, kind.Price*age)
		}
		w.stop()
		s.cfg.Spent = Cost{}
		w.begin(s)
		w.sleep(time.Minute)
		if got := w.Cost().Total; got > kind.Price*time.Minute.Hours()*2 {
			t.Errorf("cost %.4f without a note of when", got)
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
