package queue

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Request is what a worker waits for.
type Request struct {
	Organization uuid.UUID
	// Worker names the worker. Several waits may have the same one.
	Worker uuid.UUID
	// Types of job that the worker runs, at least one.
	Types []string
	// Tags of the worker; see [Compare] for the rule.
	Tags map[string]string
	// Silence is for workers outside the acquirer's process: how long one may go without a [Report] before it
	// counts as lost. Zero: the worker lives and dies with that process.
	Silence time.Duration
}

// Domain returns the set of workers that the request belongs to, or says what is wrong with the request, as a
// [*invalid.Error].
func (r Request) Domain() (Domain, error) {
	d, err := NewDomain(r.Organization, r.Types, r.Tags)
	if err == nil && r.Silence < 0 {
		err = invalid.New("silence", r.Silence, "must not be negative")
	}
	if err != nil {
		return Domain{}, in("Request", err)
	}
	return d, nil
}

// Report is what a worker says about a job that it works on, and a sign that it lives.
type Report struct {
	Handout
	// Progress replaces what was said before; nil keeps it.
	Progress *Progress
	// Lines are appended to the job's log. Their Seq is ignored; a zero At is now.
	Lines []Line
	// Silence is as in [Request]: how long until the next report. Zero keeps what was agreed. A process that takes the lease over
	// from another does not know that; there zero means what workers elsewhere get who say nothing.
	Silence time.Duration
}
