package workerpool_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	. "github.com/dormouse-go/dormouse/workerpool"
)

// each sets one resource besides slots.
var each = map[string]func(r *Resources, n int64){
	"CPU":    func(r *Resources, n int64) { r.CPU = n },
	"Memory": func(r *Resources, n int64) { r.Memory = n },
	"Disk":   func(r *Resources, n int64) { r.Disk = n },
	"GPUs":   func(r *Resources, n int64) { r.GPUs = n },
}

func amount(set func(*Resources, int64), slots, n int64) Resources {
	r := Resources{Slots: slots}
	set(&r, n)
	return r
}

// A worker takes as many jobs as fit by every resource, each for itself.
func TestEachResourceIsCounted(t *testing.T) {
	for name, set := range each {
		kind := InstanceType{Name: "a", Price: 1, Room: amount(set, 10, 2)}
		idle := Worker{ID: "i-1", Type: "a", State: Idle, CreatedAt: edge, IdleSince: edge}
		var jobs []Job
		for _, id := range []JobID{"j", "k", "l"} {
			jobs = append(jobs, Job{ID: id, Since: edge, Needs: amount(set, 1, 1)})
		}
		a := Plan(jobs, []Worker{idle}, Limits{Types: []InstanceType{kind}, MaxWorkers: 1}, edge)
		if len(a.Starts) != 2 {
			t.Errorf("%s: %d jobs of 1 start on a worker of 2", name, len(a.Starts))
		}
	}
}

// A job goes where the least is left, by whichever resource the rooms differ.
func TestTightestRoomFirst(t *testing.T) {
	for name, set := range each {
		kind := InstanceType{Name: "a", Price: 1, Room: amount(set, 10, 8)}
		used := func(id InstanceID, n int64) Worker {
			w := Worker{ID: id, Type: "a", State: Running, CreatedAt: edge, IdleSince: edge}
			w.Jobs = []WorkerJob{{ID: JobID(id), Needs: amount(set, 1, n), Phase: Executing}}
			return w
		}
		for _, workers := range [][]Worker{{used("i-1", 1), used("i-2", 5)}, {used("i-2", 5), used("i-1", 1)}} {
			a := Plan([]Job{{ID: "k", Since: edge, Needs: amount(set, 1, 1)}}, workers, Limits{Types: []InstanceType{kind}, MaxWorkers: 2}, edge)
			if len(a.Starts) != 1 || workers[a.Starts[0].Worker].ID != "i-2" {
				t.Errorf("%s: %+v", name, a.Starts)
			}
		}
	}
}

func TestLargestNeed(t *testing.T) {
	const largest = 1 << 50
	for n, refused := range map[int64]bool{largest: false, largest + 1: true, -1: true} {
		job := Job{ID: "j", Needs: Resources{Slots: 1, Memory: n}}
		err := job.Validate()
		var bad *invalid.Error
		if errors.As(err, &bad) != refused || refused && bad.Field != "Job.Needs.Memory" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// The number of jobs is bounded, and what is below the bound starts.
func TestJobLimitIsReachedNotPassed(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 4}}
	idle := Worker{ID: "i-1", Type: "a", State: Idle, CreatedAt: edge, IdleSince: edge}
	a := Plan([]Job{{ID: "j", Since: edge}, {ID: "k", Since: edge}}, []Worker{idle}, Limits{Types: []InstanceType{kind}, MaxWorkers: 1, MaxJobs: 1}, edge)
	if len(a.Starts) != 1 || len(a.Waits) != 1 || a.Waits[0].Reason != ReasonJobLimit {
		t.Errorf("%+v", a)
	}
}

// A full worker has no spare slot.
func TestFullWorkerIsNoSpare(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}, Warm: []Warm{{Spare: 1}}}
	full := Worker{ID: "i-1", Type: "a", State: Running, CreatedAt: edge, IdleSince: edge, Jobs: []WorkerJob{{ID: "j", Needs: Resources{Slots: 1}, Phase: Executing}}}
	a := Plan(nil, []Worker{full}, Limits{Types: []InstanceType{kind}, MaxWorkers: 3}, edge)
	if len(a.Creates) != 1 || a.Creates[0].Reason != ReasonSpare {
		t.Errorf("%+v", a.Creates)
	}
}

// A worker that drains is left to its state machine.
func TestDrainedWorkerIsKept(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	w := Worker{ID: "i-1", Type: "a", State: Idle, CreatedAt: edge, IdleSince: edge.Add(-time.Hour), Behavior: Behavior{Idle: BehaviorDrain}}
	a := Plan(nil, []Worker{w}, Limits{Types: []InstanceType{kind}, MaxWorkers: 1, IdleTimeout: time.Minute}, edge)
	if len(a.Shutdowns) != 0 || len(a.Keeps) != 1 || a.Keeps[0].Reason != ReasonDrained {
		t.Errorf("%+v", a)
	}
}

// Room is made by the one that idles longest.
func TestLongestIdleMakesRoom(t *testing.T) {
	a, b := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 2}}, InstanceType{Name: "b", Price: 1, Room: Resources{Slots: 8}}
	idle := func(id InstanceID, since time.Duration) Worker {
		return Worker{ID: id, Type: "a", State: Idle, CreatedAt: edge.Add(-time.Hour), IdleSince: edge.Add(-since)}
	}
	for _, workers := range [][]Worker{{idle("i-1", time.Second), idle("i-2", time.Minute)}, {idle("i-2", time.Minute), idle("i-1", time.Second)}} {
		got := Plan([]Job{{ID: "k", Since: edge, Needs: Resources{Slots: 8}}}, workers, Limits{Types: []InstanceType{a, b}, MaxWorkers: 2, IdleTimeout: time.Hour, PriceFactor: 9}, edge)
		if len(got.Shutdowns) != 1 || workers[got.Shutdowns[0].Worker].ID != "i-2" {
			t.Errorf("%+v", got.Shutdowns)
		}
	}
}

// That holds for workers of different types, too.
func TestLongestIdleOfAllTypesMakesRoom(t *testing.T) {
	kind := func(name string, slots int64) InstanceType {
		return InstanceType{Name: name, Price: 1, Room: Resources{Slots: slots}}
	}
	idle := func(id InstanceID, kind string, since time.Duration) Worker {
		return Worker{ID: id, Type: kind, State: Idle, CreatedAt: edge.Add(-time.Hour), IdleSince: edge.Add(-since)}
	}
	workers := []Worker{idle("i-1", "a", time.Second), idle("i-2", "c", time.Minute)}
	for _, types := range [][]InstanceType{{kind("a", 2), kind("c", 2), kind("b", 8)}, {kind("c", 2), kind("a", 2), kind("b", 8)}} {
		got := Plan([]Job{{ID: "k", Since: edge, Needs: Resources{Slots: 8}}}, workers, Limits{Types: types, MaxWorkers: 2, IdleTimeout: time.Hour, PriceFactor: 9}, edge)
		if len(got.Shutdowns) != 1 || workers[got.Shutdowns[0].Worker].ID != "i-2" {
			t.Errorf("%+v", got.Shutdowns)
		}
	}
}

// A worker that is found was not created after it was found.
func TestAgeOfAFoundWorker(t *testing.T) {
	for created, want := range map[time.Time]time.Time{{}: edge, edge.Add(-time.Hour): edge.Add(-time.Hour), edge.Add(time.Hour): edge} {
		if w := NewUnknown("i-1", "", "a", Behavior{}, created, edge); !w.CreatedAt.Equal(want) {
			t.Errorf("created at %v: %v, want %v", created, w.CreatedAt, want)
		}
	}
}

// Only a drain shuts a worker down, and only one that there is.
func TestBehaviorThatShutsDown(t *testing.T) {
	for behavior, want := range map[IdleBehavior]State{BehaviorRun: Idle, BehaviorHold: Idle, BehaviorDrain: Shutdown} {
		w := Worker{ID: "i-1", Type: "a", State: Idle, CreatedAt: edge, IdleSince: edge}
		if w, _ = Step(w, BehaviorSet{Behavior{Idle: behavior}}, Rules{}, edge); w.State != want {
			t.Errorf("%v: an idle worker is %v", behavior, w.State)
		}
	}
	for _, s := range []State{Pending, Unknown, Shutdown, Gone} {
		w := Worker{ID: "i-1", Type: "a", State: s, CreatedAt: edge, IdleSince: edge}
		w, effects := Step(w, BehaviorSet{Behavior{Idle: BehaviorDrain}}, Rules{}, edge)
		if w.State != s || effects&DoDestroy != 0 {
			t.Errorf("a worker that is %v and is to drain is %v, %v", s, w.State, effects)
		}
	}
}
