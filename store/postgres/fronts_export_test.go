package postgres

import (
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Fronts are what a store remembers of lanes, for tests of its own. A lane is named by its type and has the priority 0.
type Fronts struct{ f fronts }

// Learn takes in a look: the first number of each lane that it came past, 0 if it held nothing, the number claimed last, and the transactions that were open.
func (f *Fronts) Learn(org uuid.UUID, heads map[string]int64, claimed, xmin, xmax int64) bool {
	var passed []passedLane
	for _, kind := range slices.Sorted(maps.Keys(heads)) {
		passed = append(passed, passedLane{laneNumber{kind: kind}, heads[kind], heads[kind] > 0})
	}
	return f.f.learn(org, passed, claimedLast{places: map[int16]int64{0: claimed}, xmin: xmin, xmax: xmax})
}

// Bounds are from where on the lanes of an organization hold anything, and the priorities of these lanes.
func (f *Fronts) Bounds(org uuid.UUID) (bounds map[string]int64, priorities []int16) {
	known, ok := f.f.orgs[org]
	if !ok {
		return nil, nil
	}
	bounds = make(map[string]int64)
	for _, r := range known.bounds {
		bounds[r.kind] = r.bound
	}
	_, priorities = f.f.of(org)
	return bounds, priorities
}

// Told are the lanes whose bounds a look is told, in the order in which it comes past them.
func (f *Fronts) Told(org uuid.UUID) (lanes []string) {
	rows, _ := f.f.of(org)
	for _, r := range rows {
		lanes = append(lanes, r.kind)
	}
	return lanes
}
