package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// JobResult is how the job of a build ended.
type JobResult struct {
	// BuildID is the build the job was for; it is the id of the job.
	BuildID uuid.UUID
	// Status is JobSucceeded, JobFailed or JobCanceled.
	Status JobStatus
	// CompletedAt is when the job ended. Defaults to the instant that the verb is called with. Deadlines count from it, so
	// a repeated or late report moves nothing. A worker's clock is not believed beyond that: it counts as no earlier than
	// the build and no later than the report.
	CompletedAt time.Time
	// Message is what went wrong, for people. Of a long one 2,000 bytes are kept.
	Message string
	// Result is what the build made, if it succeeded. Of a long one 1,000 bytes are kept.
	Result string
}

// JobStarted records that a worker has begun the latest build, which has to be the one of this id. A build is known by its id: a
// number can be guessed, and says nothing about the workspace.
func JobStarted(build uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		e := edit(&s, now)
		switch b := &e.s.Build; {
		case b.ID != build || !b.Status.Active():
			return Change{}, staleID(&s, build)
		case b.Status != JobPending:
			return Change{}, ErrUnchanged
		}
		e.s.Build.Status = JobRunning
		return e.change(), nil
	}
}

// JobEnded records the end of the latest build: a start gets its deadlines, a delete ends the workspace, a failure is
// counted and may need attention. Reporting the same end again changes nothing. The end of a job can always be recorded:
// where a deadline cannot be computed the workspace has none, and [Decision.Err] says why.
func JobEnded(r JobResult) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if _, ended := jobEvents[r.Status]; !ended {
			return Change{}, invalid.New("JobResult.Status", r.Status, "must be succeeded, failed or canceled")
		}
		e := edit(&s, now)
		b := &e.s.Build
		switch {
		case b.ID != r.BuildID:
			return Change{}, staleID(&s, r.BuildID)
		case b.Status == r.Status:
			return Change{}, ErrUnchanged
		case !b.Status.Active():
			return Change{}, staleID(&s, r.BuildID)
		}
		b.Status = r.Status
		if b.CompletedAt = e.now; !r.CompletedAt.IsZero() {
			b.CompletedAt = micros.Later(micros.Earlier(micros.Of(r.CompletedAt), e.now), b.CreatedAt)
		}
		e.s.Workspace.Backoff = Backoff{}
		b.keep(r)
		r.Message = cutMessage(r.Message)
		e.ended(r)
		return e.change(), nil
	}
}

// keep keeps what its job says of a build.
func (b *Build) keep(r JobResult) {
	b.Error, b.Result = cutText(r.Message, maxKept), ""
	if r.Status == JobSucceeded {
		b.Error, b.Result = "", cutText(r.Result, maxKept)
	}
}

func stale(s *Snapshot, number int64) error {
	return fmt.Errorf("build %d: %w: the latest is %d, %s", number, ErrStaleBuild, s.Build.Number, s.Build.Status)
}

func staleID(s *Snapshot, id uuid.UUID) error {
	return fmt.Errorf("build %s: %w: the latest is %d, %s", id, ErrStaleBuild, s.Build.Number, s.Build.Status)
}

func (e *editor) ended(r JobResult) {
	b, w := &e.s.Build, &e.s.Workspace
	ev := buildEvent(jobEvents[r.Status], b)
	ev.Message = r.Message
	e.emit(ev, TopicAudit)
	switch r.Status {
	case JobSucceeded:
		w.Failures, w.AttentionAt = 0, time.Time{}
		e.succeeded()
	case JobFailed:
		if b.Reason != ReasonManual {
			e.emit(ev, TopicNotice)
		}
		e.failed(r.Message)
	case JobCanceled:
		e.canceled()
	}
}

// jobEvents are the kinds of the events about the end of a job.
var jobEvents = map[JobStatus]EventKind{
	JobSucceeded: EventBuildSucceeded, JobFailed: EventBuildFailed, JobCanceled: EventBuildCanceled,
}

func (e *editor) succeeded() {
	b, w := &e.s.Build, &e.s.Workspace
	switch b.Transition {
	case TransitionStart:
		e.beginRun(b.CompletedAt)
		w.StartFailures = 0
	case TransitionDelete:
		b.RunSince, b.Deadline, b.MaxDeadline = time.Time{}, time.Time{}, time.Time{}
		w.Deleted = true
		e.emit(Event{Kind: EventDeleted}, TopicAudit)
	case TransitionStop:
		b.RunSince, b.Deadline, b.MaxDeadline = time.Time{}, time.Time{}, time.Time{}
		e.stopped()
	}
}

// stopped sets the deletion that a stop begins.
func (e *editor) stopped() {
	if d := deletion(&e.s); !d.IsZero() && !dormant(&e.s) {
		e.s.Workspace.DeletingAt = d
		e.emit(Event{Kind: EventDeletionSet, Until: d}, TopicAudit, TopicNotice)
	}
}

// beginRun begins the run that a start has made, with its deadlines. A managed workspace gets them when it is handed out.
func (e *editor) beginRun(at time.Time) {
	b := &e.s.Build
	b.RunSince, b.Deadline, b.MaxDeadline = at, time.Time{}, time.Time{}
	if !e.s.Workspace.Managed {
		d := deadlines(&e.s)
		b.Deadline, b.MaxDeadline = d.Deadline, d.MaxDeadline
	}
}

// failed counts failures of what is retried without anybody asking, and ends the retries.
func (e *editor) failed(message string) {
	b, w := &e.s.Build, &e.s.Workspace
	switch {
	case !automatic(b):
		return
	case b.Transition == TransitionStart:
		w.StartFailures++
		return
	}
	w.Failures++
	if w.Failures < e.s.Template.Policy.Retry.withDefaults().Max {
		return
	}
	w.AttentionAt = e.now
	ev := buildEvent(EventNeedsAttention, b)
	ev.Message = message
	e.emit(ev, TopicAudit, TopicNotice)
}

// minPostponed is how long at least a workspace goes on after its automatic stop was canceled.
const minPostponed = time.Hour

// canceled takes the end of an automatic stop for a wish to go on.
func (e *editor) canceled() {
	b := &e.s.Build
	if b.Transition != TransitionStop || !automatic(b) || !runs(&e.s) {
		return
	}
	b.Deadline = capped(later(e.now, max(e.s.Template.Policy.ActivityBump, minPostponed)), b.MaxDeadline)
	e.emit(Event{Kind: EventExtended, Until: b.Deadline}, TopicAudit)
}

// CancelBuild asks for the latest build to be canceled. A pending one ends at once, a running one when its worker reports
// the end.
func CancelBuild(buildNumber int64) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch b := &s.Build; {
		case b.Number != buildNumber || !b.Status.Active():
			return Change{}, stale(&s, buildNumber)
		case b.Status == JobPending:
			return JobEnded(JobResult{BuildID: s.Build.ID, Status: JobCanceled})(s, now)
		case b.Status == JobCanceling:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Build.Status = JobCanceling
		e.emit(buildEvent(EventBuildCanceling, &e.s.Build), TopicAudit)
		return e.change(), nil
	}
}
