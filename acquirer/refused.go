package acquirer

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

const (
	// maxRefused bounds the refused jobs that are remembered.
	maxRefused = 1000
	// refusedFor is how long one is remembered after it may be tried again: the next backup does that.
	refusedFor = time.Minute
)

// Refused returns the jobs that [Stats].Refused counts, of all organizations, by id. It costs one step for each. Why is
// the database's own word and for operators; [View.Explain] says to a tenant that its job is refused.
func (a *Acquirer) Refused() []queue.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]queue.Refusal, 0, len(a.refused))
	for _, job := range a.refused {
		list = append(list, job.Refusal)
	}
	slices.SortFunc(list, func(x, y queue.Refusal) int { return bytes.Compare(x.Job[:], y.Job[:]) })
	return list
}

// refused are the jobs that the database refused to write lately. Guarded by Acquirer.mu.
type refused map[uuid.UUID]refusedJob

type refusedJob struct {
	queue.Refusal
	until time.Time // it is remembered
}

// add takes in what a call of the store says.
func (r refused) add(refusals []queue.Refusal, now time.Time) {
	for _, refusal := range refusals {
		if _, known := r[refusal.Job]; !known && len(r) >= maxRefused {
			continue
		}
		again := now
		if refusal.Again.After(now) {
			again = refusal.Again
		}
		refusal.Why = queue.CleanText(refusal.Why, queue.MaxErrorText)
		r[refusal.Job] = refusedJob{refusal, again.Add(refusedFor)}
	}
}

// started forgets jobs that were written after all.
func (r refused) started(jobs []queue.Job) {
	for i := range jobs {
		delete(r, jobs[i].ID)
	}
}

func (r refused) forget(now time.Time) {
	for id, job := range r {
		if !now.Before(job.until) {
			delete(r, id)
		}
	}
}

// of says why a job was refused, nil if it was not.
func (r refused) of(job uuid.UUID) *queue.Refusal {
	if known, ok := r[job]; ok {
		return &known.Refusal
	}
	return nil
}
