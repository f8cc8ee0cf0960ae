package workerpool_test

import (
	"slices"
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

// A pause that names no types is for all of them.
func TestPauseOfAllTypes(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	pause := Pause{Reason: ReasonRateLimit, Until: edge.Add(time.Minute)}
	a := Plan([]Job{{ID: "k", Since: edge}}, nil, Limits{Types: []InstanceType{kind}, Pauses: []Pause{pause}}, edge)
	if len(a.Creates) != 0 || len(a.Waits) != 1 || a.Waits[0].Reason != ReasonRateLimit || !a.Waits[0].Until.Equal(pause.Until) {
		t.Errorf("%+v", a)
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

// Of two workers with the same room the one used last is used again, in whatever order they are looked at.
func TestJobGoesToTheWorkerUsedLast(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	idle := func(id InstanceID, since time.Duration) Worker {
		return Worker{ID: id, Type: "a", State: Idle, CreatedAt: edge.Add(-time.Hour), IdleSince: edge.Add(-since)}
	}
	long, short := idle("i-1", 30*time.Second), idle("i-2", 10*time.Second)
	for _, workers := range [][]Worker{{long, short}, {short, long}} {
		a := Plan([]Job{{ID: "k", Since: edge}}, workers, Limits{Types: []InstanceType{kind}, MaxWorkers: 2, IdleTimeout: time.Hour}, edge)
		if len(a.Starts) != 1 || workers[a.Starts[0].Worker].ID != "i-2" {
			t.Errorf("%+v of %+v", a.Starts, workers)
		}
	}
	one, two := idle("i-1", time.Second), idle("i-2", time.Second) // then by id, so that two plans agree
	for _, workers := range [][]Worker{{one, two}, {two, one}} {
		a := Plan([]Job{{ID: "k", Since: edge}}, workers, Limits{Types: []InstanceType{kind}, MaxWorkers: 2, IdleTimeout: time.Hour}, edge)
		if len(a.Starts) != 1 || workers[a.Starts[0].Worker].ID != "i-2" {
			t.Errorf("%+v of %+v", a.Starts, workers)
		}
	}
}

// A reservation on a worker that exists is of no create, and one of a create of no worker.
func TestReservationsNameOneOfTheTwo(t *testing.T) {
	kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}}
	boots := Worker{ID: "i-1", Type: "a", State: Booting, CreatedAt: edge}
	a := Plan([]Job{{ID: "j", Since: edge}, {ID: "k", Since: edge}}, []Worker{boots}, Limits{Types: []InstanceType{kind}, MaxWorkers: 2, MaxCreating: 2}, edge)
	want := []Reservation{{Job: 0, Worker: 0, Create: -1}, {Job: 1, Worker: -1, Create: 0}}
	if !slices.Equal(a.Reservations, want) {
		t.Errorf("%+v, want %+v", a.Reservations, want)
	}
}

// Warm workers by the clock are planned again at the next full minute, others are not. A floor is created at once.
func TestWarmWorkersByTheClock(t *testing.T) {
	now := edge.Add(time.Minute + 20*time.Second)
	for _, c := range []struct {
		warm Warm
		next time.Time
	}{{Warm{Floor: 3}, time.Time{}}, {Warm{Floor: 3, During: Hours{From: 8 * time.Hour, To: 18 * time.Hour}}, edge.Add(2 * time.Minute)}} {
		kind := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 1}, Warm: []Warm{c.warm}}
		a := Plan(nil, nil, Limits{Types: []InstanceType{kind}, MaxWorkers: 9, MaxCreating: 9}, now)
		if len(a.Creates) != 3 || !a.Next.Equal(c.next) {
			t.Errorf("%+v: %d creates, next plan at %v", c.warm, len(a.Creates), a.Next)
		}
	}
}

// What makes room for another type is gone from its own: the floor and the spare slots of that are kept.
func TestRoomIsMadeAboveTheFloor(t *testing.T) {
	for name, warm := range map[string]Warm{"floor": {Floor: 1}, "spare": {Spare: 2}} {
		a, b := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 2}, Warm: []Warm{warm}}, InstanceType{Name: "b", Price: 1, Room: Resources{Slots: 8}}
		idle := func(id InstanceID) Worker {
			return Worker{ID: id, Type: "a", State: Idle, CreatedAt: edge.Add(-time.Hour), IdleSince: edge.Add(-time.Hour)}
		}
		big := []Job{{ID: "k", Since: edge, Needs: Resources{Slots: 8}}}
		got := Plan(big, []Worker{idle("i-1"), idle("i-2")}, Limits{Types: []InstanceType{a, b}, MaxWorkers: 2, IdleTimeout: time.Minute, PriceFactor: 9}, edge)
		if len(got.Shutdowns) != 1 || got.Shutdowns[0].Reason != ReasonMakeRoom {
			t.Errorf("%s: %+v", name, got.Shutdowns)
		}
	}
}

// A worker that boots for nobody makes room as well.
func TestBootingWorkerMakesRoom(t *testing.T) {
	a, b := InstanceType{Name: "a", Price: 1, Room: Resources{Slots: 2}}, InstanceType{Name: "b", Price: 1, Room: Resources{Slots: 8}}
	boots := Worker{ID: "i-1", Type: "a", State: Booting, CreatedAt: edge}
	big := []Job{{ID: "k", Since: edge, Needs: Resources{Slots: 8}}}
	got := Plan(big, []Worker{boots}, Limits{Types: []InstanceType{a, b}, MaxWorkers: 1, IdleTimeout: time.Hour, PriceFactor: 9}, edge)
	if len(got.Shutdowns) != 1 || got.Shutdowns[0].Reason != ReasonMakeRoom {
		t.Errorf("%+v", got)
	}
}

// Prices that have no exact form are held to the bounds that they are meant for: three of 0.1 are within 0.3, and a type at 0.23
// is at most 1.15 times as dear as one at 0.2.
func TestPricesThatHaveNoExactForm(t *testing.T) {
	demand := []Job{{ID: "a", Since: edge}, {ID: "b", Since: edge}, {ID: "c", Since: edge}, {ID: "d", Since: edge}}
	cheap := InstanceType{Name: "a", Price: 0.1, Room: Resources{Slots: 1}}
	if a := Plan(demand, nil, Limits{Types: []InstanceType{cheap}, MaxPrice: 0.3}, edge); len(a.Creates) != 3 {
		t.Errorf("%d workers of 0.1 within 0.3", len(a.Creates))
	}
	full := InstanceType{Name: "full", Price: 0.2, Room: Resources{Slots: 1}, Max: 1}
	other := InstanceType{Name: "other", Price: 0.23, Room: Resources{Slots: 1}, Max: 1}
	if a := Plan(demand, nil, Limits{Types: []InstanceType{full, other}, PriceFactor: 1.15}, edge); len(a.Creates) != 2 {
		t.Errorf("%d workers of the two types", len(a.Creates))
	}
	other.Price = 0.2301
	if a := Plan(demand, nil, Limits{Types: []InstanceType{full, other}, PriceFactor: 1.15}, edge); len(a.Creates) != 1 {
		t.Errorf("%d workers, one of which is too dear", len(a.Creates))
	}
}
