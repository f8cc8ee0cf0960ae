package buildjobs

import (
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// own guards a verb that a job asks for: it is applied to a workspace of the job's organization and owner only. Together with the
// job's id, which the verb compares with the build's, that makes a job speak for its own build, whatever its payload says. To
// anybody else the workspace does not exist.
func own(j queue.Job, v lifecycle.Verb) lifecycle.Verb {
	return func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if s.Workspace.OrganizationID != j.Organization || s.Workspace.OwnerID != j.Tenant {
			return lifecycle.Change{}, lifecycle.ErrNotFound
		}
		return v(s, now)
	}
}

// believed is the build that a job is for, as the workspace has it. Of what the payload said remains what only the job
// knows: what the host's builder put into it.
func believed(j queue.Job, said lifecycle.Job, s *lifecycle.Snapshot) lifecycle.Job {
	w, b := &s.Workspace, &s.Build
	return lifecycle.Job{
		ID: b.ID, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
		TemplateVersionID: b.TemplateVersionID, BuildNumber: b.Number, Transition: b.Transition, Reason: b.Reason,
		CreatedAt: b.CreatedAt, Tags: j.Tags.Map(), Priority: j.Priority, Payload: said.Payload,
	}
}
