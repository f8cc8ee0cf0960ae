package postgres

import (
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Claims leave dead entries at the front of a lane in the ready index, and while anybody keeps an old snapshot open none of
// them can be cleaned up: a look would walk all of them again, each time. So the store remembers from which number on the lanes
// hold anything.
//
// Whatever turns ready gets a number not below the number claimed last, as its statement sees it: a posting behind it, a job
// that is tried again or whose time has come at it. So what a look finds first in a lane, or the number claimed last if that is
// lower, bounds all that is ready there later, but for what was numbered before the look and committed after it. That is
// seen by transaction ids: a number counts as a bound once every transaction that was open when it was read has ended before
// a later look. What escapes even so, a transaction that read before it wrote for the first time, is found by a query that
// is whole. The number claimed last goes back when the line of an organization begins anew, or the server lost what it had
// committed; then all that was learned of the organization is void. Jobs of many tenants that share one turn of the fair order have one number, and are one step of a bound.

const (
	// maxFronts and maxFrontLanes bound what is remembered; beyond the first everything is forgotten, and found again, and of an
	// organization with more lanes nothing is remembered.
	maxFronts     = 1024
	maxFrontLanes = 1024
)

// laneNumber is a lane of an organization as the tables name it.
type laneNumber struct {
	kind     string
	tagSet   int32
	priority int16
}

// fronts are the fronts of organizations.
type fronts struct {
	mu   sync.Mutex
	orgs map[uuid.UUID]*front
}

// front is from where on the lanes of an organization hold anything.
type front struct {
	// bounds are in the order in which walks come past the lanes, so that each page of a walk is told of those in front of it alone.
	bounds []laneFront
	// settled is usable, newest waits for the transactions that were open when it was read.
	settled, newest claimedLast
}

// laneFront is what is known of a lane. Its bound is worth a step that costs more when it has risen above the first number that was ever
// found in the lane: in front of it lies what has been claimed since. A lane of which nobody claims anything costs no more than its step.
type laneFront struct {
	frontRow
	first int64
	// head is the first number that the last look has found, if the lane held anything.
	head  int64
	holds bool
}

// claimedLast are the numbers claimed last, by priority, and what was open when they were read: transactions below xmin have
// ended, those from xmax on have not begun.
type claimedLast struct {
	places     map[int16]int64
	xmin, xmax int64
}

// passedLane is a lane that a walk came past, and the first number that is ready in it, if it holds anything.
type passedLane struct {
	laneNumber
	head  int64
	holds bool
}

// frontRow is a lane on its way to a look.
type frontRow struct {
	laneNumber
	bound int64
}

var frontColumns = columns[frontRow]{
	col("type", "text", func(r *frontRow) string { return r.kind }),
	col("tag_set", "integer", func(r *frontRow) int32 { return r.tagSet }),
	col("priority", "smallint", func(r *frontRow) int16 { return r.priority }),
	col("bound", "bigint", func(r *frontRow) int64 { return r.bound }),
}

// of returns the bounds of an organization that are worth knowing, in the order in which a walk comes past them, and the priorities of all
// its lanes.
func (f *fronts) of(id uuid.UUID) (rows []frontRow, priorities []int16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.orgs[id]
	if !ok {
		return nil, nil
	}
	for _, r := range known.bounds {
		if !slices.Contains(priorities, r.priority) {
			priorities = append(priorities, r.priority)
		}
		if r.bound > r.first {
			rows = append(rows, r.frontRow)
		}
	}
	return rows, priorities
}

// learn takes in what a look has found: the lanes that it came past, with the first number of each that holds something, and what it
// read about claims before. It reports whether the bounds that the look began with can be true.
func (f *fronts) learn(id uuid.UUID, passed []passedLane, read claimedLast) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.orgs == nil || len(f.orgs) >= maxFronts {
		f.orgs = make(map[uuid.UUID]*front)
	}
	known, ok := f.orgs[id]
	if !ok {
		known = &front{}
		f.orgs[id] = known
	}
	if known.isAhead(read) {
		delete(f.orgs, id)
		return false
	}
	known.settle(read)
	if known.meet(passed); len(known.bounds) > maxFrontLanes {
		f.orgs[id] = &front{}
		return true
	}
	if known.settled.xmax > read.xmin {
		return true // what was numbered below it may still be on its way
	}
	for i := range known.bounds {
		r := &known.bounds[i]
		least := known.settled.places[r.priority]
		if r.holds {
			least = min(least, r.head)
		}
		r.bound = max(r.bound, least)
	}
	return true
}

// meet takes in the lanes that a walk came past. From now on they are known. A look that is whole has seen in front of the bound
// what an earlier version left there, or what escaped: the looks after it see it, too. Lanes that it did not come past hold nothing and
// stay where they are among the others.
func (f *front) meet(passed []passedLane) {
	before, at := make(map[laneNumber]laneFront, len(f.bounds)), make(map[laneNumber]int, len(passed))
	for _, r := range f.bounds {
		before[r.laneNumber] = r
	}
	for i, lane := range passed {
		at[lane.laneNumber] = i
	}
	met := make([]laneFront, 0, max(len(passed), len(f.bounds)))
	next := 0 // the first of those passed that is not taken in
	take := func(end int) {
		for ; next < end; next++ {
			lane := passed[next]
			r, known := before[lane.laneNumber]
			if !known {
				r = laneFront{frontRow: frontRow{laneNumber: lane.laneNumber}, first: lane.head}
			}
			if r.head, r.holds = lane.head, lane.holds; r.holds {
				r.bound = min(r.bound, r.head)
			}
			met = append(met, r)
		}
	}
	for _, r := range f.bounds {
		if i, ok := at[r.laneNumber]; ok {
			take(i + 1)
			continue
		}
		r.holds = false
		met = append(met, r)
	}
	take(len(passed))
	f.bounds = met
}

// isAhead reports whether what was read before is above what is read now.
func (f *front) isAhead(read claimedLast) bool {
	for priority, place := range read.places {
		if place < f.newest.places[priority] {
			return true
		}
	}
	return false
}

// settle makes the newest numbers usable once everything that was open when they were read has ended.
func (f *front) settle(read claimedLast) {
	if f.newest.places == nil {
		f.newest = read
	}
	if f.newest.xmax <= read.xmin {
		f.settled, f.newest = f.newest, read
	}
}

// claimedLastSQL: $1 is the organization, $2 priorities. The number claimed last is the highest row, one step away.
const claimedLastSQL = `
	SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint, p.priority, coalesce((
		SELECT c.place FROM dormouse.claimed c
		WHERE c.organization_id = $1 AND c.priority = p.priority ORDER BY c.place DESC LIMIT 1), 0)
	FROM pg_current_snapshot() AS s LEFT JOIN unnest($2::smallint[]) AS p (priority) ON true`

func (c *claimedLast) collect(rows pgx.Rows, _ error) error {
	*c = claimedLast{places: make(map[int16]int64)}
	var priority *int16
	var place int64
	_, err := pgx.ForEachRow(rows, []any{&c.xmin, &c.xmax, &priority, &place}, func() error {
		if priority != nil {
			c.places[*priority] = place
		}
		return nil
	})
	return err
}
