package workerpool_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// Random operations on a pool whose provider and queue misbehave at random, restarts included. Whatever happens: no job
// runs on two workers at once, none is started on a worker that is leaving, no limit is exceeded, no busy or held worker
// is shut down; and when the faults and the demand end, every job has ended, every worker is gone, and the costs add up.
//
// In a liar's world the provider also denies, in listings and probes at once, that workers exist; then nobody can keep a
// limit or know that a job still runs, and only the end is the same.
func TestRandomOperations(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() || raceDetector {
		seeds = 6
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomOperations(t, rand.New(rand.NewPCG(seed, 4)), seed%2 == 1) })
	}
}

func randomOperations(t *testing.T, r *rand.Rand, liar bool) {
	two := large()
	two.Room, two.MaxUses, two.MaxAge = Resources{Slots: 2}, 5, time.Hour
	kind := small()
	kind.Warm = []Warm{{Floor: r.IntN(2)}}
	maxWorkers := 2 + r.IntN(8)
	s := setup{dirty: liar, cfg: Config{
		Limits:        Limits{Types: []InstanceType{kind, two}, MaxWorkers: maxWorkers, PriceFactor: 10},
		SyncInterval:  20 * time.Second,
		ProbeTimeout:  time.Hour, // a worker that is silent for so long is lost with its jobs: the stub calls that a violation
		BootTimeout:   5 * time.Minute,
		TermTimeout:   time.Hour,
		RecordTimeout: 5 * time.Second, CommandTimeout: 10 * time.Second,
	}}
	s.knobs.JobTime = 30 * time.Second
	inWorld(t, s, func(t *testing.T, w *world) {
		n := 0
		for range 120 {
			w.sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
			n = operate(w, r, s, n, liar)
			checkWorld(t, w, liar)
			if peak := w.provider.Peak(); peak > maxWorkers && !liar {
				t.Errorf("%d instances, at most %d are allowed", peak, maxWorkers)
			}
			if t.Failed() {
				return
			}
		}
		w.provider.Configure(func(k *workerpooltest.Knobs) { *k = workerpooltest.Knobs{JobTime: 30 * time.Second} })
		w.queue.Fail(nil, nil)
		w.queue.Delay(0)
		w.sleep(10 * time.Minute) // until every instance is known again
		for _, in := range w.provider.Instances() {
			_ = w.SetIdleBehavior(in.ID, Behavior{})
		}
		w.sleep(3 * time.Hour)
		if waiting, assigned, _ := w.queue.Count(); waiting+assigned != 0 {
			t.Errorf("%d jobs wait, %d are assigned", waiting, assigned)
		}
		floor, _ := kind.Wanted(time.Now())
		if c := w.Counts(); c.Total != floor || c.Jobs != 0 || len(w.provider.Instances()) != floor {
			t.Errorf("%+v are left, %d instances; the floor is %d", c, len(w.provider.Instances()), floor)
		}
		if c := w.Cost(); math.Abs(c.Total-c.Busy-c.Idle-c.Booting-c.Leaving) > 1e-6 || math.Abs(c.PerHour-float64(floor)) > 1e-6 {
			t.Errorf("cost %+v", c)
		}
		for i := range n {
			if id := JobID(fmt.Sprint("j", i)); w.provider.Runs(id) == 0 {
				if state, _, _, _, ended := w.queue.State(id); !ended && state != JobCanceled {
					t.Errorf("%s never ran", id)
				}
			}
		}
	})
}

// operate does one thing and returns how many jobs there are.
func operate(w *world, r *rand.Rand, s setup, n int, liar bool) int {
	workers := w.Workers()
	some := func() InstanceID {
		if len(workers) == 0 {
			return "nobody"
		}
		return workers[r.IntN(len(workers))].ID
	}
	knobs := func(change func(k *workerpooltest.Knobs)) { w.provider.Configure(change) }
	switch r.IntN(18) {
	case 0, 1, 2, 3:
		for range r.IntN(6) {
			w.queue.Add(Job{ID: JobID(fmt.Sprint("j", n)), Priority: r.IntN(3), Needs: Resources{Slots: int64(r.IntN(3))}})
			n++
		}
		w.Wake()
	case 4:
		_ = w.SetIdleBehavior(some(), Behavior{Idle: IdleBehavior(r.IntN(3)), Owner: "ann"})
	case 5:
		_ = w.Shutdown(some())
		if liar {
			knobs(func(k *workerpooltest.Knobs) { k.ListEmpty = r.IntN(4) })
		}
	case 6:
		_, _ = w.ShutdownOne("small")
	case 7:
		if n > 0 {
			_ = w.KillJob(JobID(fmt.Sprint("j", r.IntN(n))), "test")
		}
	case 8:
		if n > 0 {
			if id := JobID(fmt.Sprint("j", r.IntN(n))); w.provider.Runs(id) == 0 {
				w.queue.SetState(id, JobCanceled)
			}
		}
	case 9:
		w.restart(s)
	case 10:
		knobs(func(k *workerpooltest.Knobs) {
			k.CreateDelay, k.CommandTime, k.DestroyTakes = time.Duration(r.IntN(30))*time.Second, time.Duration(r.IntN(5))*time.Second, time.Duration(r.IntN(60))*time.Second
			k.BootTime, k.ListDelay = time.Duration(r.IntN(60))*time.Second, time.Duration(r.IntN(10))*time.Second
			if liar {
				k.ListLag = time.Duration(r.IntN(15)) * time.Second
			}
		})
	case 11:
		knobs(func(k *workerpooltest.Knobs) {
			k.LoseAnswer = func(o Order) bool { return o.Secret[0]%3 == 0 }
			k.Quota = map[string]int{"p": r.IntN(8)}
		})
	case 12:
		knobs(func(k *workerpooltest.Knobs) {
			k.DestroyIgnored, k.TagBytes = r.IntN(3), []int{0, 25}[r.IntN(2)]
			k.ListTwice = r.IntN(2) == 0
		})
	case 13:
		knobs(func(k *workerpooltest.Knobs) {
			k.StartLost, k.StartError, k.CommandError = nil, nil, nil
			switch r.IntN(4) {
			case 0:
				k.StartLost = func(JobID) error { return errors.New("no answer") }
			case 1:
				k.StartError = func(JobID) error { return errors.New("no shell") }
			case 2:
				k.CommandError = func(InstanceID, string) error { return errors.New("connection lost") }
			}
		})
	case 14:
		w.queue.Fail(nil, []error{nil, errors.New("database down")}[r.IntN(2)])
	case 15:
		w.queue.Delay(time.Duration(r.IntN(4)) * time.Second)
	case 16:
		w.provider.Crash(some())
	case 17:
		knobs(func(k *workerpooltest.Knobs) { *k = workerpooltest.Knobs{JobTime: 30 * time.Second} })
		w.queue.Fail(nil, nil)
	}
	return n
}

func checkWorld(t *testing.T, w *world, liar bool) {
	synctest.Wait() // the pool is at rest: what follows reads it in several steps
	c := w.Counts()
	total := 0
	for _, n := range c.Workers {
		total += n
	}
	workers := w.Workers()
	if total != c.Total || len(workers) != total {
		t.Errorf("counts %+v, %d workers", c, len(workers))
	}
	jobs := make(map[JobID]InstanceID)
	ids := make(map[InstanceID]bool)
	for _, worker := range workers {
		if worker.ID != "" && ids[worker.ID] {
			t.Errorf("two workers are %s", worker.ID)
		}
		ids[worker.ID] = true
		for _, j := range worker.Jobs {
			if other, twice := jobs[j.ID]; twice && j.KillAt.IsZero() && !liar {
				t.Errorf("%s is on %s and %s", j.ID, other, worker.ID)
			}
			jobs[j.ID] = worker.ID
		}
	}
}
