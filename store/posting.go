package store

import (
	"encoding/json"
	"fmt"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// PostingOf returns the posting under which every store enqueues the job of a build: its type is [lifecycle.JobType], its
// tenant the owner of the workspace, and its payload the job itself as [BuildOf] reads it. The error is that of a posting
// that cannot be accepted, such as tags that are too long; a store reports it as the [lifecycle.ChangeError] of its
// workspace.
func PostingOf(j lifecycle.Job) (acquirer.Posting, error) {
	payload, err := json.Marshal(j)
	if err != nil {
		return acquirer.Posting{}, fmt.Errorf("job of build %d: %w", j.BuildNumber, err)
	}
	p := HeaderOf(j)
	p.Payload = payload
	if err := p.Validate(); err != nil {
		return acquirer.Posting{}, fmt.Errorf("job of build %d: %w", j.BuildNumber, err)
	}
	return p, nil
}

// HeaderOf is [PostingOf] without the payload and unchecked, for stores that encode it only when it is read.
func HeaderOf(j lifecycle.Job) acquirer.Posting {
	return acquirer.Posting{
		ID: j.ID, Organization: j.OrganizationID, Tenant: j.OwnerID, Type: lifecycle.JobType,
		Tags: j.Tags, Priority: j.Priority,
	}
}

// BuildOf returns the build's job from an acquired job.
func BuildOf(j acquirer.Job) (lifecycle.Job, error) {
	if j.Type != lifecycle.JobType {
		return lifecycle.Job{}, fmt.Errorf("job %s has type %q: must be %q", j.ID, j.Type, lifecycle.JobType)
	}
	var build lifecycle.Job
	if err := json.Unmarshal(j.Payload, &build); err != nil {
		return lifecycle.Job{}, fmt.Errorf("payload of job %s: %w", j.ID, err)
	}
	return build, nil
}
