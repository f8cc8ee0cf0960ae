package postgres

import (
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Fronts are what a store remembers of lanes, for tests of its own. A lane is named by its type and has the priority 0.
type Fronts struct{ f fronts }

// Learn takes in a look: the first number of each lane, the number claimed last, and the transactions that were open.
func (f *Fronts) Learn(org uuid.UUID, heads map[string]int64, claimed, xmin, xmax int64) bool {
	var passed []passedLane
	for _, kind := range slices.Sorted(maps.Keys(heads)) {
		passed = append(passed, passedLane{laneNumber{kind: kind}, heads[kind], true})
	}
	return f.f.learn(org, passed, claimedLast{places: map[int16]int64{0: claimed}, xmin: xmin, xmax: xmax})
}

// Bounds are from where on the lanes of an organization are read.
func (f *Fronts) Bounds(org uuid.UUID) (bounds map[string]int64, priorities []int16) {
	rows, priorities := f.f.of(org)
	for _, r := range rows {
		if bounds == nil {
			bounds = map[string]int64{}
		}
		bounds[r.kind] = r.bound
	}
	return bounds, priorities
}
