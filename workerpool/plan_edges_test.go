package workerpool_test

import (
	"testing"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
)

var edge = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// A budget may be spent to the last cent.
func TestBudgetThatIsJustEnough(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	full := Worker{ID: "i-1", Type: "a", State: Running, CreatedAt: edge, IdleSince: edge, Jobs: []WorkerJob{{ID: "j", Needs: Resources{Slots: 1}, Phase: Executing}}}
	for budget, want := range map[float64]int{1.99: 0, 2: 1} {
		a := Plan([]Job{{ID: "k", Since: edge}}, []Worker{full}, Limits{Types: []InstanceType{kind}, MaxPrice: budget}, edge)
		if len(a.Creates) != want {
			t.Errorf("budget %v: %d creates, want %d", budget, len(a.Creates), want)
		}
	}
}

// A pause that still allows a trial is no reason to plan again at its end; one that allows none is.
func TestEndOfAPauseIsPlannedFor(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	until := edge.Add(time.Minute)
	for allow, want := range map[int]time.Time{0: until, 1: {}} {
		a := Plan(nil, nil, Limits{Types: []InstanceType{kind}, Pauses: []Pause{{Types: []string{"a"}, Allow: allow, Until: until}}}, edge)
		if !a.Next.Equal(want) {
			t.Errorf("a pause that allows %d: next plan at %v, want %v", allow, a.Next, want)
		}
	}
}

// A worker that is gone is nothing to a plan.
func TestGoneWorkersCountForNothing(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}, Max: 1}
	gone := Worker{ID: "i-1", Type: "a", State: Gone, CreatedAt: edge}
	a := Plan([]Job{{ID: "k", Since: edge}}, []Worker{gone}, Limits{Types: []InstanceType{kind}, MaxWorkers: 1}, edge)
	if len(a.Creates) != 1 || len(a.Keeps) != 0 || len(a.Shutdowns) != 0 {
		t.Errorf("%+v", a)
	}
}
