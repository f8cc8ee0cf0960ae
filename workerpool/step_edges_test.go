package workerpool_test

import (
	"reflect"
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
)

// A listing says nothing of a worker that has no instance yet, or none any more.
func TestListingOfWhatIsNotThere(t *testing.T) {
	for _, s := range []State{Pending, Gone} {
		w := Worker{Type: "a", State: s, CreatedAt: edge}
		after, effects := Step(w, Listed{Address: "10.0.0.9", Begun: edge.Add(time.Second), Leaving: true}, Rules{}, edge.Add(time.Minute))
		if !reflect.DeepEqual(after, w) || effects != 0 {
			t.Errorf("a listed worker that is %v becomes %+v, %v", s, after, effects)
		}
	}
}

// An instance that its provider takes away is not destroyed by us, and one that leaves already leaves as before.
func TestListingOfWhatLeaves(t *testing.T) {
	now := edge.Add(time.Minute)
	w := Worker{ID: "i-1", Type: "a", State: Idle, CreatedAt: edge, IdleSince: edge}
	left, effects := Step(w, Listed{Begun: edge, Leaving: true}, Rules{}, now)
	if left.State != Shutdown || left.Reason != ReasonProvider || effects != 0 {
		t.Errorf("%v for %v, %v", left.State, left.Reason, effects)
	}
	w = Worker{ID: "i-1", Type: "a", State: Shutdown, Reason: ReasonIdle, CreatedAt: edge, ShutdownAt: edge, DestroyedAt: edge, Destroys: 1}
	still, effects := Step(w, Listed{Begun: now, Leaving: true}, Rules{}, now)
	if still.Reason != ReasonIdle || !still.DestroyedAt.Equal(edge) || still.DestroyAgain || effects != 0 {
		t.Errorf("%+v, %v", still, effects)
	}
}

// A worker that was told to drain before it had an instance is destroyed when it has one.
func TestDrainBeforeTheInstance(t *testing.T) {
	w := NewPending("a", Secret{1}, edge)
	w, _ = Step(w, BehaviorSet{Behavior{Idle: BehaviorDrain}}, Rules{}, edge)
	w, effects := Step(w, Created{ID: "i-1"}, Rules{}, edge)
	if w.State != Shutdown || effects&DoDestroy == 0 {
		t.Errorf("%v, %v", w.State, effects)
	}
}

// A job that could not be killed and has ended after all keeps its worker until its end is recorded.
func TestUnkillableJobThatEnded(t *testing.T) {
	w := Worker{ID: "i-1", Type: "a", State: Running, CreatedAt: edge, IdleSince: edge}
	w.Jobs = []WorkerJob{{ID: "j", Needs: oneSlot, Phase: Over, Unkillable: true}}
	if w, _ = Step(w, BehaviorSet{Behavior{Idle: BehaviorDrain}}, Rules{}, edge); w.State == Shutdown {
		t.Errorf("shut down for %v before the end of its job is recorded", w.Reason)
	}
}
