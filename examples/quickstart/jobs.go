package main

import (
	"container/heap"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// happening is something the world does at an instant: a person comes, works or leaves, a worker begins or ends a job.
type happening struct {
	at    time.Time
	kind  kind
	who   *developer
	id    uuid.UUID // of the workspace a job is for
	build uuid.UUID
	ends  outcome
}

type kind uint8

const (
	jobBegins kind = iota
	jobEnds
	arrives
	works
	leaves
)

// agenda is what is going to happen, earliest first. Ties are broken by values, not by the order of arrival, so that the
// replay is the same however the executor's goroutines were scheduled.
type agenda []happening

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }

func (a agenda) Less(i, j int) bool {
	switch x, y := &a[i], &a[j]; {
	case !x.at.Equal(y.at):
		return x.at.Before(y.at)
	case x.who != y.who:
		return x.who.index < y.who.index
	default:
		return x.kind < y.kind
	}
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	h := (*a)[last]
	*a = (*a)[:last]
	return h
}

// next takes the first happening not after an instant.
func (a *agenda) next(until time.Time) (happening, bool) {
	if len(*a) == 0 || (*a)[0].at.After(until) {
		return happening{}, false
	}
	return heap.Pop(a).(happening), true
}

// workers decide how long a job takes and how it ends.
type workers struct {
	seed uint64
	// fail is the share of starts that fail; stops fail half as often, deletes twice as often.
	fail float64
}

// outcome is what becomes of a job.
type outcome struct {
	status  lifecycle.JobStatus
	message string
}

// sick is one workspace in so many whose builds fail half of the time: a full disk, a broken image.
const sick = 150

// take draws the life of a job: when a worker begins it and when it ends, and how.
func (w workers) take(j *lifecycle.Job) (begins, ends time.Time, o outcome) {
	r := seeded(w.seed, j.WorkspaceID, j.BuildNumber)
	median, chance := 75*time.Second, w.fail
	switch j.Transition {
	case lifecycle.TransitionStop:
		median, chance = 25*time.Second, w.fail/2
	case lifecycle.TransitionDelete:
		median, chance = 35*time.Second, w.fail*2
	}
	if w.fail > 0 && seeded(w.seed, j.WorkspaceID, 0).IntN(sick) == 0 {
		chance = 0.5
	}
	// Build times have a long tail: half of them are near the median, one in fifty takes three times as long.
	takes := time.Duration(float64(median) * math.Exp(0.5*r.NormFloat64()))
	begins = j.CreatedAt.Add(time.Second + time.Duration(r.IntN(6000))*time.Millisecond)
	ends = begins.Add(min(max(takes, 5*time.Second), 15*time.Minute)).Truncate(time.Millisecond)
	if r.Float64() < chance {
		return begins, ends, outcome{lifecycle.JobFailed, complaints[r.IntN(len(complaints))]}
	}
	return begins, ends, outcome{status: lifecycle.JobSucceeded}
}

var complaints = []string{
	"the image could not be pulled", "the volume did not attach in time", "the node ran out of memory", "the network was not ready",
}
