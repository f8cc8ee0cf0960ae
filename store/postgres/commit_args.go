package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// commitArgs are the changes of a batch as columns.
type commitArgs struct {
	id       []key
	revision []int64
	newBuild []bool

	wakeAt                                        []stamp
	autostart                                     []string
	autostartAfter                                []stamp
	ttl                                           []int64
	lastUsedAt, dormantAt, deletingAt, holdUntil  []stamp
	remindedFor                                   []stamp
	automaticUpdates, managed, deleted            []bool
	failures                                      []int32
	attentionAt, backoffUntil                     []stamp
	backoffAttempts                               []int32
	backoffCause, backoffMessage                  []string
	buildID                                       []key
	buildNumber                                   []int64
	buildVersion                                  []key
	buildTransition                               []int16
	buildReason                                   []string
	buildStatus                                   []int16
	buildCreated, buildCompleted, buildEnd, maxed []stamp

	eventOf    []key
	eventTopic []int16
	eventBody  []string

	jobs jobArgs
}

// encode turns changes into columns. The error blames the change that no row can be made of.
func encode(now time.Time, changes []lifecycle.Change) (*commitArgs, []acquirer.Job, error) {
	var a commitArgs
	var jobs []acquirer.Job
	for i := range changes {
		c := &changes[i]
		if err := acceptable(c); err != nil {
			return nil, nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
		}
		a.workspace(c)
		a.build(&c.Build)
		if err := a.events(c); err != nil {
			return nil, nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
		}
		if c.Job == nil {
			continue
		}
		p, err := store.PostingOf(*c.Job)
		if err == nil {
			var j acquirer.Job
			if j, err = p.Job(now); err == nil {
				jobs = append(jobs, j)
				a.jobs.of = append(a.jobs.of, key(c.Workspace.ID))
				continue
			}
		}
		return nil, nil, &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: err}
	}
	return &a, jobs, nil
}

// acceptable checks what the tables would refuse without saying whose fault it is.
func acceptable(c *lifecycle.Change) error {
	switch b := &c.Build; {
	case b.MaxDeadline.IsZero():
		return nil
	case b.Deadline.IsZero():
		return &lifecycle.InvalidError{Field: "build deadline", Value: "none", Rule: "must be set if the maximum is"}
	case b.MaxDeadline.Before(b.Deadline):
		return &lifecycle.InvalidError{Field: "build deadline", Value: b.Deadline, Rule: fmt.Sprintf("must not be after the maximum, %v", b.MaxDeadline)}
	}
	return nil
}

func (a *commitArgs) workspace(c *lifecycle.Change) {
	w := &c.Workspace
	a.id = append(a.id, key(w.ID))
	a.revision = append(a.revision, c.Revision)
	a.newBuild = append(a.newBuild, c.NewBuild)
	a.wakeAt = append(a.wakeAt, stamp(w.WakeAt))
	a.autostart = append(a.autostart, clean(w.Autostart.Text()))
	a.autostartAfter = append(a.autostartAfter, stamp(w.AutostartAfter))
	a.ttl = append(a.ttl, int64(w.TTL))
	a.lastUsedAt = append(a.lastUsedAt, stamp(w.LastUsedAt))
	a.dormantAt = append(a.dormantAt, stamp(w.DormantAt))
	a.deletingAt = append(a.deletingAt, stamp(w.DeletingAt))
	a.holdUntil = append(a.holdUntil, stamp(w.HoldUntil))
	a.remindedFor = append(a.remindedFor, stamp(w.RemindedFor))
	a.automaticUpdates = append(a.automaticUpdates, w.AutomaticUpdates)
	a.managed = append(a.managed, w.Managed)
	a.deleted = append(a.deleted, w.Deleted)
	a.failures = append(a.failures, count32(w.Failures))
	a.attentionAt = append(a.attentionAt, stamp(w.AttentionAt))
	a.backoffUntil = append(a.backoffUntil, stamp(w.Backoff.Until))
	a.backoffAttempts = append(a.backoffAttempts, count32(w.Backoff.Attempts))
	a.backoffCause = append(a.backoffCause, clean(string(w.Backoff.Cause)))
	a.backoffMessage = append(a.backoffMessage, clean(w.Backoff.Message))
}

func (a *commitArgs) build(b *lifecycle.Build) {
	a.buildID = append(a.buildID, key(b.ID))
	a.buildNumber = append(a.buildNumber, b.Number)
	a.buildVersion = append(a.buildVersion, key(b.TemplateVersionID))
	a.buildTransition = append(a.buildTransition, int16(b.Transition))
	a.buildReason = append(a.buildReason, clean(string(b.Reason)))
	a.buildStatus = append(a.buildStatus, int16(b.Status))
	a.buildCreated = append(a.buildCreated, stamp(b.CreatedAt))
	a.buildCompleted = append(a.buildCompleted, stamp(b.CompletedAt))
	a.buildEnd = append(a.buildEnd, stamp(b.Deadline))
	a.maxed = append(a.maxed, stamp(b.MaxDeadline))
}

func (a *commitArgs) events(c *lifecycle.Change) error {
	for _, e := range c.Events {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.Kind, err)
		}
		a.eventOf = append(a.eventOf, key(c.Workspace.ID))
		a.eventTopic = append(a.eventTopic, int16(e.Topic))
		a.eventBody = append(a.eventBody, string(body))
	}
	return nil
}

// statement is the smallest statement that writes the changes, and its parameters.
func (a *commitArgs) statement() (string, []any) {
	if len(a.eventOf) == 0 && len(a.jobs.of) == 0 && !slices.Contains(a.newBuild, true) {
		return touchSQL, a.changes()
	}
	args := append(a.changes(), a.eventOf, a.eventTopic, a.eventBody)
	return commitSQL, append(args, a.jobs.all()...)
}

// changes are the parameters that both statements have.
func (a *commitArgs) changes() []any {
	return []any{
		a.id, a.revision, a.newBuild,
		a.wakeAt, a.autostart, a.autostartAfter, a.ttl, a.lastUsedAt,
		a.dormantAt, a.deletingAt, a.holdUntil, a.remindedFor,
		a.automaticUpdates, a.managed, a.deleted, a.failures, a.attentionAt,
		a.backoffUntil, a.backoffAttempts, a.backoffCause, a.backoffMessage,
		a.buildID, a.buildNumber, a.buildVersion, a.buildTransition, a.buildReason, a.buildStatus,
		a.buildCreated, a.buildCompleted, a.buildEnd, a.maxed,
	}
}

// jobArgs are jobs to queue as columns.
type jobArgs struct {
	// of is the workspace of each job, the zero id without one.
	of, id, organization, tenant []key
	kind                         []string
	tagSet                       []int32
	priority                     []int16
	weight                       []int32
	step                         []int64
	payload                      [][]byte
	trace                        []string
	createdAt, readyAt           []stamp
}

func (a *jobArgs) add(j *acquirer.Job, tagSet int32) {
	a.id = append(a.id, key(j.ID))
	a.organization = append(a.organization, key(j.Organization))
	a.tenant = append(a.tenant, key(j.Tenant))
	a.kind = append(a.kind, j.Type)
	a.tagSet = append(a.tagSet, tagSet)
	a.priority = append(a.priority, j.Priority)
	a.weight = append(a.weight, count32(j.Weight))
	a.step = append(a.step, acquirer.FairOrder(0, 0, j.Weight))
	a.payload = append(a.payload, j.Payload)
	a.trace = append(a.trace, j.Trace)
	a.createdAt = append(a.createdAt, stamp(j.CreatedAt))
	a.readyAt = append(a.readyAt, stamp(j.ReadyAt))
}

func (a *jobArgs) all() []any {
	return []any{
		a.of, a.id, a.organization, a.tenant, a.kind, a.tagSet, a.priority, a.weight, a.step,
		a.payload, a.trace, a.createdAt, a.readyAt,
	}
}

// index of the changes by workspace.
func indexOf(changes []lifecycle.Change) map[uuid.UUID]int {
	index := make(map[uuid.UUID]int, len(changes))
	for i := range changes {
		index[changes[i].Workspace.ID] = i
	}
	return index
}
