package memory

import (
	"container/heap"
	"sort"

	"github.com/google/uuid"
)

// jobLane holds the ready jobs of one lane: a line for each tenant, and the lines in a heap by their heads.
// So the next job is found at once, and a tenant at its limit is set aside with all its jobs in one step.
type jobLane struct {
	tenants map[uuid.UUID]*tenantLine
	heads   tenantHeap
	size    int
}

// tenantLine is one tenant's jobs of a lane, in the order of [queue.Job.Before].
type tenantLine struct {
	tenant uuid.UUID
	jobs   []*job
	// index in the heap; of no meaning while set aside by a claim.
	index int
}

func newJobLane() *jobLane { return &jobLane{tenants: make(map[uuid.UUID]*tenantLine)} }

func (l *jobLane) empty() bool { return l.size == 0 }

// head is the next job whose tenant is not set aside.
func (l *jobLane) head() (*tenantLine, *job) {
	if len(l.heads) == 0 {
		return nil, nil
	}
	return l.heads[0], l.heads[0].jobs[0]
}

// first is the job that is next in line whatever the limits say; nobody is set aside between calls.
func (l *jobLane) first() *job { return l.heads[0].jobs[0] }

func (l *jobLane) add(j *job) {
	l.size++
	line, ok := l.tenants[j.Tenant]
	if !ok {
		line = &tenantLine{tenant: j.Tenant, jobs: []*job{j}}
		l.tenants[j.Tenant] = line
		heap.Push(&l.heads, line)
		return
	}
	at := line.search(j)
	line.jobs = append(line.jobs, nil)
	copy(line.jobs[at+1:], line.jobs[at:])
	line.jobs[at] = j
	if at == 0 {
		heap.Fix(&l.heads, line.index)
	}
}

func (l *jobLane) remove(j *job) {
	l.size--
	line := l.tenants[j.Tenant]
	at := line.search(j)
	if at == 0 {
		line.jobs[0] = nil
		line.jobs = line.jobs[1:]
	} else {
		copy(line.jobs[at:], line.jobs[at+1:])
		line.jobs[len(line.jobs)-1] = nil
		line.jobs = line.jobs[:len(line.jobs)-1]
	}
	switch {
	case len(line.jobs) == 0:
		heap.Remove(&l.heads, line.index)
		delete(l.tenants, j.Tenant)
	case at == 0:
		heap.Fix(&l.heads, line.index)
	}
}

// setAside hides a tenant's line until putBack.
func (l *jobLane) setAside(line *tenantLine) { heap.Remove(&l.heads, line.index) }

func (l *jobLane) putBack(line *tenantLine) { heap.Push(&l.heads, line) }

// search returns the place of j. Most jobs come last, so that end is looked at first.
func (t *tenantLine) search(j *job) int {
	n := len(t.jobs)
	if n > 0 && t.jobs[n-1].Before(j.Job) {
		return n
	}
	return sort.Search(n, func(i int) bool { return !t.jobs[i].Before(j.Job) })
}

// tenantHeap orders the lines by their heads.
type tenantHeap []*tenantLine

func (h tenantHeap) Len() int           { return len(h) }
func (h tenantHeap) Less(i, k int) bool { return h[i].jobs[0].Before(h[k].jobs[0].Job) }

func (h tenantHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].index, h[k].index = i, k
}

func (h *tenantHeap) Push(x any) {
	line := x.(*tenantLine)
	line.index = len(*h)
	*h = append(*h, line)
}

func (h *tenantHeap) Pop() any {
	last := len(*h) - 1
	line := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return line
}
