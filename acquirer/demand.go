package acquirer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Demand is what waits for workers: for whoever makes workers come and go.
type Demand struct {
	// Lanes are those that hold ready jobs, in no particular order.
	Lanes []LaneDemand
	// Next is when the next delayed job turns ready, zero if there is none.
	Next time.Time
}

// LaneDemand is what waits in one lane. What it says of workers and of running jobs is as of the last heartbeat.
type LaneDemand struct {
	Lane queue.Lane
	// Ready is the number of ready jobs, at least 1 and counted up to 10,000.
	Ready int
	// Oldest is when the first of them in line was posted.
	Oldest time.Time
	// Running is the number of running jobs of the lane's organization and type, whatever their tags and priority.
	Running int
	// Waiting and Busy are the slots, of all processes, that could run the lane's jobs. A slot counts for each such lane.
	Waiting, Busy int
}

// demandCount is how far the ready jobs of a lane are counted.
const demandCount = 10_000

// Demand asks the store which lanes of the organizations hold ready jobs; without organizations, of all. Its cost grows
// with the number of such lanes, not with that of jobs, apart from the counting.
func (a *Acquirer) Demand(ctx context.Context, organizations ...uuid.UUID) (Demand, error) {
	listing, err := a.ready(ctx, queue.ReadyQuery{Organizations: organizations, CountTo: demandCount})
	if err != nil {
		return Demand{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d := Demand{Next: listing.Next, Lanes: make([]LaneDemand, len(listing.Lanes))}
	for i, l := range listing.Lanes {
		d.Lanes[i] = LaneDemand{
			Lane: l.Lane, Ready: l.Count, Oldest: l.Oldest,
			Running: a.fleet.running[queue.Kind{Organization: l.Lane.Organization, Type: l.Lane.Type}],
		}
		for _, p := range a.ableProcesses(l.Lane) {
			for _, w := range p.Workers {
				d.Lanes[i].Waiting += w.Waiting
				d.Lanes[i].Busy += w.Busy
			}
		}
	}
	return d, nil
}

// Able reports whether a worker of any live process could run the jobs of a lane, busy ones included, as of the last
// heartbeat. Before the first heartbeat nothing is known, and the answer is yes.
func (a *Acquirer) Able(l queue.Lane) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fleet.epoch == 0 || a.able(l)
}
