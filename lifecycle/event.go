package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Event is a message that goes with a change: a job to post, a notice to a person, an entry of the audit log. It is
// written in the same commit as its change, never without it, and delivered at least once after that commit.
type Event struct {
	// Seq is the place in the outbox. The store assigns it at commit, in increasing order.
	Seq int64 `json:"seq"`
	// Attempt counts deliveries from 1; the store sets it when the event is claimed.
	Attempt int       `json:"attempt"`
	Topic   Topic     `json:"topic"`
	Kind    EventKind `json:"kind"`
	// At is the instant at which the change was decided.
	At time.Time `json:"at"`

	// OrganizationID is that of the workspace, or of the template. WorkspaceID is zero if the event is about none; see
	// [Event.Subject].
	OrganizationID uuid.UUID `json:"organization_id,omitzero"`
	WorkspaceID    uuid.UUID `json:"workspace_id,omitzero"`
	OwnerID        uuid.UUID `json:"owner_id,omitzero"`
	TemplateID     uuid.UUID `json:"template_id,omitzero"`
	// Revision is the revision of the workspace that the change was computed from, and of a template that which it has now.
	Revision int64 `json:"revision"`

	// Transition, Reason and BuildNumber concern the build the event is about, if any.
	Transition  Transition `json:"transition,omitempty"`
	Reason      Reason     `json:"reason,omitempty"`
	BuildNumber int64      `json:"build_number,omitempty"`
	// DueAt is when the rule that acted became due, zero if no rule did.
	DueAt time.Time `json:"due_at,omitzero"`
	// Until is the instant the event announces: the deadline, the deletion, the end of a hold. Zero if there is none.
	Until time.Time `json:"until,omitzero"`
	// Message is a sentence for people, empty if the kind says all.
	Message string `json:"message,omitempty"`
	// Actor is who asked for the change and Note what they said about it, as the host names and words them; empty if it
	// was a rule, or nobody said.
	Actor string `json:"actor,omitempty"`
	Note  string `json:"note,omitempty"`
	// Job is set for [TopicPost] only.
	Job *Job `json:"job,omitempty"`
}

// Key identifies the event to receivers that must act on it once: repeated deliveries have the same key.
func (e Event) Key() string {
	place := e.Revision
	if e.WorkspaceID == uuid.Nil { // not everything has revisions
		place = e.Seq
	}
	return fmt.Sprintf("%s/%d/%s/%s", e.Subject(), place, e.Topic, e.Kind)
}

// of completes an event: whom it is for, when it was decided, and of which workspace at which revision. Every event is
// made here.
func (e Event) of(w *Workspace, revision int64, topic Topic, at time.Time) Event {
	e.Topic, e.At = topic, at
	e.OrganizationID, e.WorkspaceID, e.OwnerID, e.TemplateID, e.Revision = w.OrganizationID, w.ID, w.OwnerID, w.TemplateID, revision
	return e
}

// buildEvent begins an event about a build.
func buildEvent(kind EventKind, b *Build) Event {
	return Event{Kind: kind, Transition: b.Transition, Reason: b.Reason, BuildNumber: b.Number}
}

// Post adds the event that carries the job of a new build to whoever posts jobs. It is for an executor whose host posts
// its jobs itself; a job for the queue of the store goes into Change.Job instead.
func (c *Change) Post(job *Job) {
	ev := buildEvent(EventBuildQueued, &c.Build)
	ev.Job = job
	c.Events = append(c.Events, ev.of(&c.Workspace, c.Revision, TopicPost, c.Build.CreatedAt))
}

// Topic says which receiver an event is for. Each event has one receiver, so one that fails does not delay the others.
type Topic uint8

// The topics.
const (
	// TopicAudit is for Config.Auditor.
	TopicAudit Topic = iota
	// TopicNotice is for Config.Notifier.
	TopicNotice
	// TopicPost is for Config.Poster.
	TopicPost
)

var topicNames = names[Topic]{"audit", "notice", "post"}

// String returns the name in lower case.
func (t Topic) String() string { return topicNames.name(t) }

// MarshalText implements encoding.TextMarshaler.
func (t Topic) MarshalText() ([]byte, error) { return topicNames.marshal("Topic", t) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Topic) UnmarshalText(b []byte) error { return topicNames.unmarshal("Topic", t, b) }

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	// EventBuildQueued: a build was made; Transition, Reason, BuildNumber and DueAt say which and why.
	EventBuildQueued EventKind = "build.queued"
	// EventBuildSucceeded, EventBuildFailed and EventBuildCanceled: the job of a build ended.
	EventBuildSucceeded EventKind = "build.succeeded"
	EventBuildFailed    EventKind = "build.failed"
	EventBuildCanceled  EventKind = "build.canceled"
	// EventBuildCanceling: somebody wants a build canceled that runs; one of the three above follows.
	EventBuildCanceling EventKind = "build.canceling"
	// EventUpdated: a start uses another template version than the last build.
	EventUpdated EventKind = "workspace.updated"
	// EventReminder: the workspace stops at Until.
	EventReminder EventKind = "workspace.stop_upcoming"
	// EventDormant: the workspace became dormant; it is deleted at Until, if that is set.
	EventDormant EventKind = "workspace.dormant"
	// EventAwake: the workspace is no longer dormant.
	EventAwake EventKind = "workspace.awake"
	// EventDeletionSet: the workspace was stopped and is deleted at Until unless it starts again.
	EventDeletionSet EventKind = "workspace.deletion_set"
	// EventDeleteReminder: the workspace is deleted at Until, in about a day.
	EventDeleteReminder EventKind = "workspace.deletion_upcoming"
	// EventDeletionOff: a policy change took back the deletion of the workspace.
	EventDeletionOff EventKind = "workspace.deletion_off"
	// EventDeletionMoved: a policy change moved the deletion of the workspace to Until.
	EventDeletionMoved EventKind = "workspace.deletion_moved"
	// EventDeletionHeld: the workspace is due to be deleted, and the brake on deletions holds it. It is told once, however
	// long that lasts.
	EventDeletionHeld EventKind = "workspace.deletion_held"
	// EventDeleted: the workspace was deleted.
	EventDeleted EventKind = "workspace.deleted"
	// EventStartMissed: an autostart was later than the policy allows and was skipped.
	EventStartMissed EventKind = "workspace.start_missed"
	// EventExtended: the deadline moved to Until.
	EventExtended EventKind = "workspace.extended"
	// EventNeedsAttention: automatic retries ended without success.
	EventNeedsAttention EventKind = "workspace.needs_attention"
	// EventClaimed: the workspace has another owner; Message says who.
	EventClaimed EventKind = "workspace.claimed"
	// EventChanged: a setting of the workspace was changed by hand; Message says which.
	EventChanged EventKind = "workspace.changed"
)

// Topics is a set of topics; the zero value is empty. Events of a topic without a receiver need not be written.
type Topics uint8

// AllTopics is the set of all topics.
const AllTopics Topics = 1<<TopicAudit | 1<<TopicNotice | 1<<TopicPost

// Has reports whether a topic is in the set.
func (t Topics) Has(topic Topic) bool { return t&(1<<topic) != 0 }

// List returns the topics of the set in the order of their constants, nil for the empty set.
func (t Topics) List() []Topic {
	var topics []Topic
	for topic := TopicAudit; topic <= TopicPost; topic++ {
		if t.Has(topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// Filter returns the events whose topic is in the set: the same slice if all are, else a new one.
func (t Topics) Filter(events []Event) []Event {
	for i := range events {
		if !t.Has(events[i].Topic) {
			kept := append([]Event(nil), events[:i]...)
			for _, e := range events[i+1:] {
				if t.Has(e.Topic) {
					kept = append(kept, e)
				}
			}
			return kept
		}
	}
	return events
}
