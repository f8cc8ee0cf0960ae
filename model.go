package dormouse

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// Names of package lifecycle that a host meets in its first hour.
type (
	// Policy holds the lifecycle rules of a template.
	Policy = lifecycle.Policy
	// Transition is what a build does to a workspace.
	Transition = lifecycle.Transition
	// Event is a message about a change, as Config.Audit receives it.
	Event = lifecycle.Event
	// Hold suspends rules until an instant; without Rules all of them.
	Hold = lifecycle.Hold
	// Explanation says what happens next to a workspace, when, and why.
	Explanation = lifecycle.Explanation
	// PolicyChange is a new policy for a template, and how it treats the workspaces that exist.
	PolicyChange = lifecycle.PolicyChange
)

// Workspace is a workspace as a page or an API shows it. It is made from a snapshot by [WorkspaceOf] and never stored. In
// JSON durations are texts like "8h0m0s", and what is not set is left out.
type Workspace struct {
	ID       uuid.UUID        `json:"id"`
	Name     string           `json:"name"`
	Status   lifecycle.Status `json:"status"`
	Revision int64            `json:"revision"`

	Organization uuid.UUID `json:"organization,omitzero"`
	TemplateID   uuid.UUID `json:"template_id"`
	Template     string    `json:"template"`
	OwnerID      uuid.UUID `json:"owner_id"`
	Owner        string    `json:"owner"`

	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`

	// Schedule is when it starts and stops by itself, and TTL the run time before it stops, 0 for none.
	Schedule
	TTL time.Duration `json:"ttl,omitzero"`
	// Deadline is when it stops by itself and MaxDeadline what the deadline cannot be moved beyond, zero for never.
	Deadline    time.Time `json:"deadline,omitzero"`
	MaxDeadline time.Time `json:"max_deadline,omitzero"`
	// DeadlineFrom says where the deadline comes from, such as lifecycle.DeadlineTTL.
	DeadlineFrom lifecycle.DeadlineSource `json:"deadline_from,omitempty"`
	// Hold is its own hold, if it has one. DormantAt is when it became dormant, DeletingAt when it is deleted for that, and
	// AttentionAt since when a person has to look. Zero for not.
	Hold        Hold      `json:"hold,omitzero"`
	DormantAt   time.Time `json:"dormant_at,omitzero"`
	DeletingAt  time.Time `json:"deleting_at,omitzero"`
	AttentionAt time.Time `json:"attention_at,omitzero"`
	// Problem is why something that was due did not happen, empty if nothing is wrong.
	Problem string `json:"problem,omitempty"`

	// Warnings are what the change of a setting has made of it that is probably not meant, such as a schedule that never
	// fires. Only the verb that made the change returns them.
	Warnings lint.Warnings `json:"warnings,omitempty"`
	// WakeAt is when the engine will look at it again, zero for not before something changes.
	WakeAt time.Time `json:"wake_at,omitzero"`

	// Result is what the latest build made, such as an address, as [Build.SetResult] was given it.
	Result string `json:"result,omitempty"`

	// BuildID and BuildNumber are those of the latest build, zero if there was none.
	BuildID     uuid.UUID `json:"build_id,omitzero"`
	BuildNumber int64     `json:"build_number,omitempty"`
}

// WorkspaceOf returns what a snapshot says.
func WorkspaceOf(s lifecycle.Snapshot) Workspace {
	w, b := &s.Workspace, &s.Build
	return Workspace{
		ID: w.ID, Name: w.Name, Status: s.Status(), Revision: w.Revision,
		Organization: w.OrganizationID, TemplateID: s.Template.ID, Template: s.Template.Name,
		OwnerID: s.Owner.ID, Owner: s.Owner.Name,
		CreatedAt: w.CreatedAt, LastUsedAt: w.LastUsedAt, TTL: w.TTL,
		Deadline: b.Deadline, MaxDeadline: b.MaxDeadline, DeadlineFrom: s.DeadlineFrom(), Hold: w.Hold, Schedule: scheduleOf(w.Autostart, w.Autostop),
		DormantAt: w.DormantAt, DeletingAt: w.DeletingAt, AttentionAt: w.AttentionAt,
		Problem: w.Backoff.Message, WakeAt: w.WakeAt, Result: b.Result, BuildID: b.ID, BuildNumber: b.Number,
	}
}

// MarshalJSON writes the TTL as a text.
func (w Workspace) MarshalJSON() ([]byte, error) {
	type plain Workspace
	return json.Marshal(struct {
		plain
		TTL span `json:"ttl,omitzero"`
	}{plain(w), span(w.TTL)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *Workspace) UnmarshalJSON(text []byte) error {
	type plain Workspace
	v := struct {
		*plain
		TTL span `json:"ttl"`
	}{plain: (*plain)(w)}
	err := json.Unmarshal(text, &v)
	w.TTL = time.Duration(v.TTL)
	return err
}

// span is a duration that JSON shows as people write it.
type span time.Duration

func (d span) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *span) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return invalid.New("duration", string(text), `must be like "8h" or "1h30m"`)
	}
	*d = span(parsed)
	return nil
}

// PolicyPlan says what a policy change would do, and how far it has been applied.
type PolicyPlan struct {
	lifecycle.PolicyPlan
	// Warnings are what the new policy would make of settings that is probably not meant. They do not stop [Plane.Apply].
	Warnings lint.PlanWarnings `json:"warnings,omitempty"`
}

// Template is a kind of workspace, and what applies to all of that kind.
type Template struct {
	// ID defaults to one that is derived from the organization and the name, so that putting a template again replaces it.
	ID uuid.UUID `json:"id"`
	// Organization defaults to that of the plane.
	Organization uuid.UUID `json:"organization,omitzero"`
	Name         string    `json:"name"`
	// ActiveVersion is the version that new workspaces start with. Defaults to the version it has, the ID for a new one.
	ActiveVersion uuid.UUID `json:"active_version"`
	Policy        Policy    `json:"policy"`
	// Warnings are what the policy has in it that is probably not meant. Set by [Plane.PutTemplate] when it changes something.
	Warnings lint.Warnings `json:"warnings,omitempty"`
}

func templateOf(t lifecycle.Template) Template {
	return Template{
		ID: t.ID, Organization: t.OrganizationID, Name: t.Name, ActiveVersion: t.ActiveVersionID, Policy: t.Policy,
	}
}

// Owner is somebody who has workspaces.
type Owner struct {
	// ID defaults to one that is derived from the organization and the name.
	ID     uuid.UUID             `json:"id"`
	Name   string                `json:"name"`
	Status lifecycle.OwnerStatus `json:"status"`
	// QuietHours is the daily time at which a required stop may interrupt the owner, such as "CRON_TZ=Europe/Berlin 0 3 * * *".
	// Empty: the template's autostop requirement does not apply.
	QuietHours string `json:"quiet_hours,omitempty"`
}

func ownerOf(o lifecycle.Owner) Owner {
	return Owner{ID: o.ID, Name: o.Name, Status: o.Status, QuietHours: textOf(o.QuietHours)}
}

// Process is a process that hands out jobs, and the workers that it serves.
type Process struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name,omitempty"`
	// SeenAt is its last sign of life. Lost: the others have given it up.
	SeenAt time.Time `json:"seen_at,omitzero"`
	Lost   bool      `json:"lost,omitempty"`
	// Holding is the number of jobs that its workers have.
	Holding int       `json:"holding"`
	Workers []Workers `json:"workers,omitempty"`
}

// Workers are the workers of one process that can run the same jobs.
type Workers struct {
	Organization uuid.UUID         `json:"organization,omitzero"`
	Types        []string          `json:"types"`
	Tags         map[string]string `json:"tags,omitempty"`
	// Waiting and Busy are numbers of builds: that they could run besides, and that they run.
	Waiting int `json:"waiting"`
	Busy    int `json:"busy"`
}

func processOf(p queue.Process) Process {
	process := Process{ID: p.ID, Name: p.Name, SeenAt: p.HeartbeatAt, Lost: p.Lost, Holding: p.Holding}
	for _, w := range p.Workers {
		process.Workers = append(process.Workers, Workers{
			Organization: w.Domain.Organization, Types: w.Domain.Types, Tags: w.Domain.Tags.Map(), Waiting: w.Waiting, Busy: w.Busy,
		})
	}
	return process
}

// BuildRecord is a build of the past or the present, with what its job says.
type BuildRecord struct {
	// WorkspaceID and Workspace, its name, are set in lists of the builds of all workspaces.
	WorkspaceID uuid.UUID           `json:"workspace_id,omitzero"`
	Workspace   string              `json:"workspace,omitempty"`
	ID          uuid.UUID           `json:"id"`
	Number      int64               `json:"number"`
	Transition  Transition          `json:"transition"`
	Reason      lifecycle.Reason    `json:"reason"`
	Status      lifecycle.JobStatus `json:"status"`
	Version     uuid.UUID           `json:"version,omitzero"`
	CreatedAt   time.Time           `json:"created_at"`
	CompletedAt time.Time           `json:"completed_at,omitzero"`
	// Initiator is who asked for it, empty if a rule made it or nobody said.
	Initiator string `json:"initiator,omitempty"`
	// Error is why it failed, and Result what [Build.SetResult] was given: 1,000 bytes of each, and all while the queue keeps
	// the job. As long as it does, Attempt counts how often it was begun, and Percent and Progress say how far it came.
	Error    string `json:"error,omitempty"`
	Result   string `json:"result,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	Percent  int    `json:"percent,omitempty"`
	Progress string `json:"progress,omitempty"`
}

func recordOf(b lifecycle.Build) BuildRecord {
	return BuildRecord{
		ID: b.ID, Number: b.Number, Transition: b.Transition, Reason: b.Reason, Status: b.Status,
		Version: b.TemplateVersionID, CreatedAt: b.CreatedAt, CompletedAt: b.CompletedAt,
		Initiator: b.Initiator, Error: b.Error, Result: b.Result,
	}
}

// add adds what the job says.
func (r *BuildRecord) add(j queue.Job) {
	r.Attempt = j.Attempt
	if j.Error != "" {
		r.Error = j.Error
	}
	if len(j.Result) > 0 {
		r.Result = strings.ToValidUTF8(string(j.Result), "\uFFFD")
	}
	r.Percent, r.Progress = j.Progress.Percent, j.Progress.Message
}
