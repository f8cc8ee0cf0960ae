package forecast

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// buildKey is what builds have in common.
type buildKey struct {
	version    uuid.UUID
	transition lifecycle.Transition
}

// buildStats is how the builds of a kind went.
type buildStats struct {
	took      []time.Duration
	failed, n int
}

// learnBuild counts a build for its version, and for those versions of which little is known.
func (b *Behavior) learnBuild(build *lifecycle.Build) {
	if build.CompletedAt.IsZero() || !build.CompletedAt.Before(b.until) || build.Status == lifecycle.JobCanceled {
		return
	}
	for _, version := range [...]uuid.UUID{build.TemplateVersionID, {}} {
		key := buildKey{version, build.Transition}
		if b.builds[key] == nil {
			b.builds[key] = new(buildStats)
		}
		s := b.builds[key]
		s.n++
		if build.Status == lifecycle.JobFailed {
			s.failed++
		}
		s.took = append(s.took, build.CompletedAt.Sub(build.CreatedAt))
	}
}

// enoughBuilds is how many builds of a version speak for themselves.
const enoughBuilds = 20

func (b *Behavior) statsOf(version uuid.UUID, t lifecycle.Transition) *buildStats {
	if s := b.builds[buildKey{version, t}]; s != nil && s.n >= enoughBuilds {
		return s
	}
	return b.builds[buildKey{transition: t}]
}

// BuildTime returns how long builds of a version take, at a quantile from 0 to 1, and which share of them fails. Of a
// version with fewer than 20 builds it says what all versions do; ok is false if no build of the transition is known.
func (b *Behavior) BuildTime(version uuid.UUID, t lifecycle.Transition, quantile float64) (took time.Duration, fails float64, ok bool) {
	s := b.statsOf(version, t)
	if s == nil {
		return 0, 0, false
	}
	return s.took[int(math.Round(min(max(quantile, 0), 1)*float64(len(s.took)-1)))], float64(s.failed) / float64(s.n), true
}

// Builds returns how builds may go, as they went: for [Assumptions.Build]. The same seed, workspace and build number give
// the same outcome. Where nothing is known they succeed after a minute.
func (b *Behavior) Builds(seed uint64) func(lifecycle.Snapshot) Outcome {
	return func(s lifecycle.Snapshot) Outcome {
		if s.Build.Status == lifecycle.JobCanceling {
			return succeedsInAMinute(s)
		}
		stats := b.statsOf(s.Build.TemplateVersionID, s.Build.Transition)
		if stats == nil {
			return succeedsInAMinute(s)
		}
		r := rand.New(rand.NewPCG(seed^mix(s.Workspace.ID), uint64(s.Build.Number)))
		o := Outcome{Took: stats.took[r.IntN(len(stats.took))], Status: lifecycle.JobSucceeded}
		if r.IntN(stats.n) < stats.failed {
			o.Status = lifecycle.JobFailed
		}
		return o
	}
}

func mix(id uuid.UUID) uint64 {
	var h uint64
	for _, b := range id {
		h = (h ^ uint64(b)) * 0x100000001b3 // FNV
	}
	return h
}
