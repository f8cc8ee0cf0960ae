package acquirer

import (
	"maps"
	"time"

	"github.com/google/uuid"

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
	// Oldest is the age of the oldest run of each type whose lease this process keeps.
	Oldest map[string]time.Duration
	// Registered: the store knows this process. Hearing: announcements of other processes come through.
	Registered, Hearing bool
	// Failures is the number of store errors in a row, of claims and listings or of heartbeats, whichever is more. Failing counts by
	// organization: those in a row of its listings, and of the claims for workers with equal types and tags, of which the last one failed.
	// One that is not made again is counted for ten minutes. nil: there is none. Of a host without organizations it has the claims, under
	// the zero id.
	Failures int
	Failing  map[uuid.UUID]int
	// Unreadable is the number of processes and lanes of which the store holds what this version cannot read, as of the last
	// heartbeat and backup. They are left out.
	Unreadable int
	// Refused is the number of jobs that the database lately refused to write, as a constraint or a trigger of the host has it do, when this
	// process claimed them or had them turn ready: they wait, and keep no other waiting. Up to 1,000 are counted. See [Explanation].
	Refused int
	// Stuck is the number of calls of the store and of the host that were given up and have not returned. Of a kind of which 100
	// are stuck none is made, nor is Config.Retry or a [LostPolicy] asked for an organization of which 25 are, or about a job of which 3 are.
	Stuck int
	// Delayed counts, by organization, the calls that waited for its share; see [Config.Share]. An organization that is back within it,
	// so far that it may use the store for a tenth of a second at once, begins anew at 0. One at 0 is left out; nil: there is no share.
	Delayed map[uuid.UUID]int64
}

// Stats returns the present state. It costs one step for each domain and lease, and for each organization that called of late.
func (a *Acquirer) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Stats{
		Holding: a.book.Len(a.member.process), Lanes: a.dispatch.Lanes(),
		Processes: len(a.fleet.processes), Running: maps.Clone(a.fleet.running),
		Oldest: a.oldestRuns(), Registered: a.member.state == running, Hearing: a.listening.well(),
		Unreadable: a.fleet.unreadable + a.looks.unreadable,
		Delayed:    a.shares.Delayed(), Refused: len(a.refused),
	}
	s.Failures, s.Failing = a.health.inARow()
	s.Failures = max(s.Failures, a.member.failures)
	s.Stuck = a.given.Len()
	for _, d := range a.dispatch.Domains() {
		s.Domains++
		s.Waiting += d.Waiting()
	}
	return s
}
