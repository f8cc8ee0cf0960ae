package acquirer

import (
	"maps"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Stats is what an acquirer is doing, at one instant.
type Stats struct {
	// Waiting and Holding are this process's waiting workers and the jobs whose leases it keeps.
	Waiting, Holding int
	// Domains and Lanes are those it knows.
	Domains, Lanes int
	// Processes is the number of live ones that share the store, and Running that of their running jobs by
	// kind, both as of the last heartbeat.
	Processes int
	Running   map[queue.Kind]int
	// Registered: the store knows this process. Hearing: announcements of other processes come through.
	Registered, Hearing bool
	// Failures is the number of store errors in a row.
	Failures int
}

// Stats returns the present state.
func (a *Acquirer) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Stats{
		Holding: len(a.held), Processes: len(a.fleet.processes), Running: maps.Clone(a.fleet.running),
		Registered: a.state == running, Hearing: a.hearing.well(), Failures: a.breaker.failures,
	}
	for _, org := range a.hall.orgs {
		s.Lanes += len(org.lanes)
		s.Domains += len(org.domains)
		for _, d := range org.domains {
			s.Waiting += d.line.Len()
		}
	}
	return s
}
