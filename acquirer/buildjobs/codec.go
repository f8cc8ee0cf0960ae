package buildjobs

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// MaxPayload bounds the payload of a build's job ([lifecycle.Job].Payload), in bytes as the host hands them in. A job of the
// queue holds [queue.MaxPayload], and the encoding of a build's job takes a third more than its payload and some tags.
const MaxPayload = 700 << 10

// PostingOf returns the posting under which every store enqueues the job of a build: its type is [lifecycle.JobType], its
// tenant the owner of the workspace, and its payload the job itself as [BuildOf] reads it. The error is that of a posting
// that cannot be accepted, such as tags that are too long; a store reports it as the [lifecycle.ChangeError] of its
// workspace.
func PostingOf(j lifecycle.Job) (queue.Posting, error) {
	p, err := posting(j)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return queue.Posting{}, refused(j, err)
	}
	return p, nil
}

// JobOf returns the row that [PostingOf] leads to when it is enqueued at an instant, for stores that write it in the commit of
// the build. The error is the same.
func JobOf(j lifecycle.Job, now time.Time) (queue.Job, error) {
	p, err := posting(j)
	if err != nil {
		return queue.Job{}, refused(j, err)
	}
	payload := p.Payload
	if len(payload) <= queue.MaxPayload {
		p.Payload = nil // it is the row's alone and needs no copy
	}
	row, err := p.Job(now)
	if err != nil {
		return queue.Job{}, refused(j, err)
	}
	row.Payload = payload
	return row, nil
}

func posting(j lifecycle.Job) (p queue.Posting, err error) {
	if len(j.Payload) > MaxPayload {
		return p, invalid.New("Job.Payload", len(j.Payload), "must be at most %d bytes", MaxPayload)
	}
	p = HeaderOf(j)
	p.Payload, err = appendJob(nil, &j)
	return p, err
}

func refused(j lifecycle.Job, err error) error {
	return fmt.Errorf("job of build %d: %w", j.BuildNumber, err)
}

// HeaderOf is [PostingOf] without the payload and unchecked, for stores that encode it only when it is read.
func HeaderOf(j lifecycle.Job) queue.Posting {
	return queue.Posting{
		ID: j.ID, Organization: j.OrganizationID, Tenant: j.OwnerID, Type: lifecycle.JobType,
		Tags: j.Tags, Priority: j.Priority,
	}
}

// BuildOf returns the build's job from an acquired job.
func BuildOf(j queue.Job) (lifecycle.Job, error) {
	if j.Type != lifecycle.JobType {
		return lifecycle.Job{}, fmt.Errorf("job %s has type %q: must be %q", j.ID, j.Type, lifecycle.JobType)
	}
	var build lifecycle.Job
	if err := json.Unmarshal(j.Payload, &build); err != nil {
		return lifecycle.Job{}, fmt.Errorf("payload of job %s: %w", j.ID, err)
	}
	return build, nil
}
