package storetest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// manyLanes posts a job into each of n lanes of an organization: several tag sets and priorities of types that texts sort
// differently from one collation to the next.
func (k *jobKit) manyLanes(org uuid.UUID, first, n int) (jobs []queue.Job) {
	k.t.Helper()
	var postings []queue.Posting
	for i := first; i < first+n; i++ {
		postings = append(postings, k.posting(
			func(p *queue.Posting) { p.Organization = org },
			ofType(fmt.Sprint([]string{"a", "B", "a-b", "ä", "A", "aB"}[i%6], i/30)),
			withTags(map[string]string{"only": fmt.Sprint(i % 15)}),
			withPriority(int16(i%5-2)),
		))
	}
	return k.enqueue(postings...)
}

// mustHold compares the listing of some organizations with the jobs that are ready there.
func (k *jobKit) mustHold(what string, jobs []queue.Job, organizations ...uuid.UUID) {
	k.t.Helper()
	want, of := make(map[queue.Lane]int), make(map[uuid.UUID]bool)
	for _, j := range jobs {
		want[j.Lane()]++
		of[j.Organization] = true
	}
	lanes := slices.DeleteFunc(k.ready(organizations...).Lanes, func(l queue.ReadyLane) bool {
		return len(organizations) == 0 && !of[l.Lane.Organization] // the suite has a neighbour
	})
	k.must(len(lanes) == len(want), "Ready lists every lane once "+what, "%d lanes, want %d", len(lanes), len(want))
	for _, l := range lanes {
		k.must(l.Count == want[l.Lane], "Ready counts the jobs of a lane "+what, "lane %+v has %d, want %d", l.Lane, l.Count, want[l.Lane])
	}
}

// readyManyLanes: a store may take any number of steps to list the lanes. What it keeps of one listing for the next holds while lanes come
// and go in between.
func readyManyLanes(k *jobKit) {
	empty, other := uuid.New(), uuid.New()
	mine, theirs := k.manyLanes(k.org, 0, 300), k.manyLanes(other, 0, 140)
	for range 2 {
		k.mustHold("of an organization with many", mine, k.org)
	}
	k.mustHold("of several organizations", slices.Concat(mine, theirs), empty, k.org, uuid.New(), other)
	k.mustHold("of all organizations", slices.Concat(mine, theirs))
	for round := range 3 {
		var gone []queue.Job
		for i := round; i < len(mine); i += 7 {
			gone = append(gone, mine[i])
		}
		k.must(len(k.claim(len(gone), gone...)) == len(gone), "Claim takes a job of each lane", "it does not")
		mine = slices.DeleteFunc(mine, func(j queue.Job) bool {
			return slices.ContainsFunc(gone, func(g queue.Job) bool { return g.ID == j.ID })
		})
		mine = append(mine, k.manyLanes(k.org, 300+40*round, 40)...)
		k.mustHold("after some were emptied and others came", mine, k.org)
	}
	k.mustHold("of the other organization", theirs, other)
	k.aheadOfMany(mine)
}

// aheadOfMany compares what is ahead of the last job: all others.
func (k *jobKit) aheadOfMany(jobs []queue.Job) {
	k.t.Helper()
	last := jobs[0]
	for _, j := range jobs {
		if last.Before(j) {
			last = j
		}
	}
	ahead, err := k.store.Ahead(k.ctx, last.ID, 100)
	k.noError(err, "Ahead")
	n := 0
	for _, l := range ahead {
		n += l.Count
	}
	k.must(n == len(jobs)-1, "Ahead counts in every lane", "%d jobs, want %d", n, len(jobs)-1)
}
