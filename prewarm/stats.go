package prewarm

import (
	"maps"
	"time"
)

// counters are guarded by the pool's lock.
type counters struct {
	claims     map[Source]uint64
	misses     map[MissReason]uint64
	created    map[Reason]uint64
	destroyed  map[Reason]uint64
	ended      map[Reason]uint64
	failures   uint64
	unknown    uint64
	reloads    uint64
	orphans    int
	claimed    int
	idle       time.Duration
	alertSince time.Time
	reloaded   bool // since the alert began
	reloading  bool // asked for, and not yet done
}

func newCounters() counters {
	return counters{
		claims: make(map[Source]uint64), misses: make(map[MissReason]uint64), created: make(map[Reason]uint64),
		destroyed: make(map[Reason]uint64), ended: make(map[Reason]uint64),
	}
}

// Stats is what a pool has done in this process, and what its last plan saw.
type Stats struct {
	Target Target
	Counts Counts
	// Blocked says why members that are missing are not created.
	Blocked Blocked
	// Waiting is the number of claims in the line.
	Waiting int
	// Claims are the members handed out, by where they came from.
	Claims map[Source]uint64
	// Misses are claims that found no ready member, by the reason.
	Misses map[MissReason]uint64
	// Created, Destroyed and Ended count creations, removals and ends of claims by their reason.
	Created, Destroyed, Ended map[Reason]uint64
	// Failures counts attempts to create that failed, Unknown listings that did.
	Failures, Unknown uint64
	// Reloads counts listings because of an alert; AlertSince is since when the pool is depleted, zero if it is not.
	Reloads    uint64
	AlertSince time.Time
	// Orphans are resources that the last listing showed and the store does not know, Claimed members that somebody had
	// then.
	Orphans, Claimed int
	// IdleTime is how long members were ready and unclaimed, in all: the cost of the pool.
	IdleTime time.Duration
	// BuildTime is how long a member takes to become ready, PerHour the rate of claims, as measured.
	BuildTime time.Duration
	PerHour   float64
	// Stuck is the number of calls of the backend, the cleaner, the store and Config.Events that were given up and have not returned. A
	// method of which 100 are stuck is not called, nor is Create for a version of which 25 are, nor any for a member of which 3 are.
	Stuck int
}

// HitRate returns the share of claims that found a ready member, of those that found one and those that missed, whatever
// became of the latter; repetitions of a key do not count. 0 if there were no claims.
func (s Stats) HitRate() float64 {
	hits := s.Claims[Warm]
	misses := uint64(0)
	for _, n := range s.Misses {
		misses += n
	}
	if hits+misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+misses)
}

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	now := p.now()
	spec := p.current(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.stats
	return Stats{
		Target: p.view.decision.Target, Counts: p.view.decision.Counts, Blocked: p.view.decision.Blocked,
		Waiting: len(p.line.waiters), Claims: maps.Clone(c.claims), Misses: maps.Clone(c.misses),
		Created: maps.Clone(c.created), Destroyed: maps.Clone(c.destroyed), Ended: maps.Clone(c.ended),
		Failures: c.failures, Unknown: c.unknown, Reloads: c.reloads, AlertSince: c.alertSince,
		Orphans: c.orphans, Claimed: c.claimed, IdleTime: c.idle, BuildTime: spec.Demand.BuildTime, PerHour: spec.Demand.PerHour, Stuck: p.given.Len(),
	}
}
