package queue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Operations holds the verbs and questions of those who operate a queue.
type Operations interface {
	// ListJobs returns jobs of one organization, the latest first by creation and id, without Payload and Result. A page may
	// hold fewer than asked for although more follow: of each state at most [MaxExamined] jobs are looked at for one page,
	// so its cost has a bound, whatever the query selects. Next of the last page is zero. In SQL it reads an index of
	// organization, state, creation and id.
	ListJobs(ctx context.Context, q JobQuery) (JobPage, error)

	// CountJobs counts the jobs that a query selects, by state; After and Limit do not matter. Of each state at most the
	// latest countTo jobs are looked at.
	CountJobs(ctx context.Context, q JobQuery, countTo int) (JobCounts, error)

	// RetryJobs puts jobs that are over back into line, in front like a requeued one: pending, one round more, without
	// attempts, cancellation, progress and result. Its fence, error, log and history stay, and the history says who did it.
	// It returns the jobs that changed. A job that is not over stays as it is, and so does one whose unique key another job
	// has that is pending or running.
	RetryJobs(ctx context.Context, r Retry) ([]Job, error)

	// PauseJobs stores a pause, in place of the one of the same scope. ResumeJobs deletes the pause of a scope and reports
	// whether there was one; it returns the error of [Scope.Validate] if there is one. Pauses returns those that have not ended, by
	// organization and type.
	PauseJobs(ctx context.Context, p Pause) error
	ResumeJobs(ctx context.Context, s Scope) (bool, error)
	Pauses(ctx context.Context, now time.Time) ([]Pause, error)

	// Attempts returns a job's history, the oldest entry first: the last [MaxHistory] attempts that did not succeed, and
	// retries by hand among them.
	Attempts(ctx context.Context, job uuid.UUID) ([]Attempt, error)
}

// Limits of what operators say and ask for.
const (
	// MaxActor and MaxNote are in bytes; longer texts are cut.
	MaxActor = 256
	MaxNote  = 1 << 10
	// MaxPage is the most jobs of one page.
	MaxPage = 500
	// MaxExamined is how many jobs of one state are looked at for one page.
	MaxExamined = 5000
	// MaxHistory is how many entries a job's history keeps, and MaxAttemptError how many bytes of each error.
	MaxHistory      = 20
	MaxAttemptError = 1 << 10
)

// JobQuery selects jobs of one organization. All fields that are set have to be met.
type JobQuery struct {
	// Organization is that of the jobs. The zero value is one like any other: that of a host which has only one.
	Organization uuid.UUID
	// States to list; empty means all.
	States []State
	Type   string
	Tenant uuid.UUID
	// Tag that the job asks for; the zero value means any.
	Tag Tag
	// From and Until bound the creation: not before From, and before Until. Zero means no bound.
	From, Until time.Time
	// After is where the page before ended; zero begins with the latest.
	After JobPlace
	// Limit is the most jobs of the page, up to [MaxPage]. Defaults to 100.
	Limit int
}

// JobPlace is a job's place in a list.
type JobPlace struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// PlaceOf is the place of a job.
func PlaceOf(j Job) JobPlace { return JobPlace{j.CreatedAt, j.ID} }

// IsZero reports whether it is no place.
func (p JobPlace) IsZero() bool { return p == JobPlace{} }

// Compare orders places from the earliest to the latest.
func (p JobPlace) Compare(other JobPlace) int {
	return cmp.Or(p.CreatedAt.Compare(other.CreatedAt), slices.Compare(p.ID[:], other.ID[:]))
}

// JobPage is one page of a list.
type JobPage struct {
	Jobs []Job
	// Next is [JobQuery].After of the next page; zero: there is none.
	Next JobPlace
}

// JobCounts are numbers of jobs.
type JobCounts struct {
	// States are the numbers by state; states that were not asked for or have none are absent.
	States map[State]int
	// Partial: of at least one state not all jobs were looked at.
	Partial bool
}

var allStates = []State{Pending, Running, Succeeded, Failed, Canceled}

// Normalize returns the query with its defaults, states sorted and without doubles, or says what is wrong with it, as a
// [*invalid.Error]. Every store calls it.
func (q JobQuery) Normalize() (JobQuery, error) {
	for _, s := range q.States {
		if !slices.Contains(allStates, s) {
			return q, invalid.New("JobQuery.States", s, "must be pending, running, succeeded, failed or canceled")
		}
	}
	if q.Limit = cmp.Or(q.Limit, 100); q.Limit < 0 || q.Limit > MaxPage {
		return q, invalid.New("JobQuery.Limit", q.Limit, "must be between 1 and %d", MaxPage)
	}
	if err := q.checkTexts(); err != nil {
		return q, err
	}
	if len(q.States) == 0 {
		q.States = allStates
	}
	q.States = slices.Compact(slices.Sorted(slices.Values(q.States)))
	for _, at := range []*time.Time{&q.From, &q.Until, &q.After.CreatedAt} {
		*at = micros.Of(micros.Within(*at))
	}
	return q, nil
}

// checkTexts refuses a type and a tag that no job can have: some databases fail on them.
func (q JobQuery) checkTexts() error {
	if q.Type != "" {
		if err := ValidateType(q.Type); err != nil {
			return in("JobQuery", err)
		}
	}
	if q.Tag != (Tag{}) {
		return invalid.As("JobQuery.Tag", checkTag(q.Tag.Key, q.Tag.Value))
	}
	return nil
}

// Before is the place in front of which the page lies: [JobQuery].After, or the bound by Until if that is earlier. It is a
// place even where nothing bounds the list.
func (q JobQuery) Before() JobPlace {
	end := JobPlace{CreatedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	if until := (JobPlace{CreatedAt: q.Until}); !q.Until.IsZero() {
		end = until
	}
	if !q.After.IsZero() && q.After.Compare(end) < 0 {
		end = q.After
	}
	return end
}

// Selects reports whether a job meets the query, apart from After.
func (q JobQuery) Selects(j Job) bool {
	return j.Organization == q.Organization && slices.Contains(q.States, j.State) && q.SelectsLane(j.Lane()) &&
		(q.Tenant == uuid.Nil || q.Tenant == j.Tenant) &&
		!j.CreatedAt.Before(q.From) && (q.Until.IsZero() || j.CreatedAt.Before(q.Until))
}

// SelectsLane reports whether the jobs of a lane of the organization may meet the query, which asks for its type and tags.
func (q JobQuery) SelectsLane(l Lane) bool {
	return (q.Type == "" || q.Type == l.Type) && q.SelectsTags(l.Tags)
}

// SelectsTags is [JobQuery.SelectsLane] for the tags alone.
func (q JobQuery) SelectsTags(set TagSet) bool {
	if q.Tag == (Tag{}) {
		return true
	}
	value, ok := set.Map()[q.Tag.Key]
	return ok && value == q.Tag.Value
}

// StateJobs is what was found of one state for a page.
type StateJobs struct {
	// Jobs that meet the query, the latest first, up to one more than its limit.
	Jobs []Job
	// Cut is the last job that was looked at if there may be others behind it that were not; zero: there are none.
	Cut JobPlace
}

// PageOf puts a page together from what was found of each state.
func (q JobQuery) PageOf(found []StateJobs) JobPage {
	var page JobPage
	var cut JobPlace // everything later than this was looked at
	for _, f := range found {
		page.Jobs = append(page.Jobs, f.Jobs...)
		if !f.Cut.IsZero() && (cut.IsZero() || f.Cut.Compare(cut) > 0) {
			cut = f.Cut
		}
	}
	slices.SortFunc(page.Jobs, func(a, b Job) int { return PlaceOf(b).Compare(PlaceOf(a)) })
	page.Jobs = slices.DeleteFunc(page.Jobs, func(j Job) bool { return !cut.IsZero() && PlaceOf(j).Compare(cut) < 0 })
	page.Next = cut
	if len(page.Jobs) > q.Limit {
		page.Jobs = page.Jobs[:q.Limit]
		page.Next = PlaceOf(page.Jobs[q.Limit-1])
	}
	return page
}

// Retry asks for jobs that are over to be tried again.
type Retry struct {
	Now time.Time
	IDs []uuid.UUID
	// By and Note say who and why, for the history. They are cut to [MaxActor] and [MaxNote] bytes.
	By, Note string
	// Organization leaves the jobs of all others alone, for whoever asks on its behalf; nil is no restriction.
	Organization *uuid.UUID
}

// Clean returns the retry with its texts as they are stored.
func (r Retry) Clean() Retry {
	r.By, r.Note = CleanText(r.By, MaxActor), CleanText(r.Note, MaxNote)
	return r
}

// Scope is what a pause concerns: the jobs of an organization, of a type, or of a type in an organization. Zero are all jobs.
type Scope struct {
	Organization uuid.UUID
	Type         string
}

// Validate says what is wrong with the scope, as a [*invalid.Error].
func (s Scope) Validate() error {
	if s.Type != "" {
		return in("Scope", ValidateType(s.Type))
	}
	return nil
}

// Concerns reports whether the jobs of a lane are in the scope.
func (s Scope) Concerns(l Lane) bool {
	return (s.Organization == uuid.Nil || s.Organization == l.Organization) && (s.Type == "" || s.Type == l.Type)
}

// Pause keeps jobs from being claimed. What runs goes on and ends as it would; jobs may be posted. A claim that begins after
// the pause is stored takes none of them.
type Pause struct {
	Scope
	At time.Time
	// By and Note say who and why. They are cut to [MaxActor] and [MaxNote] bytes.
	By, Note string
	// Until ends the pause, by the clock of whoever claims; zero: it lasts until it is lifted.
	Until time.Time
}

// Holds reports whether the pause is in force.
func (p Pause) Holds(now time.Time) bool { return p.Until.IsZero() || p.Until.After(now) }

// Normalize returns the pause as it is stored, or says what is wrong with it, as a [*invalid.Error]. Every store calls it.
func (p Pause) Normalize() (Pause, error) {
	if err := p.Validate(); err != nil {
		return p, in("Pause", err)
	}
	if !micros.Within(p.Until).Equal(p.Until) {
		return p, invalid.New("Pause.Until", p.Until.UTC().Format("2006-01-02"), "must be in the years 1 to 9999")
	}
	p.At, p.Until = micros.Of(p.At), micros.Of(p.Until)
	p.By, p.Note = CleanText(p.By, MaxActor), CleanText(p.Note, MaxNote)
	return p, nil
}

// OutcomeRetried is that of an entry in a job's history which says that it was retried by hand. No attempt ends with it.
const OutcomeRetried Outcome = "retried"

// Attempt is an entry of a job's history: an attempt that did not succeed, or a retry by hand.
type Attempt struct {
	// Round and Attempt are those of the job then.
	Round, Attempt int
	Outcome        Outcome
	StartedAt      time.Time
	EndedAt        time.Time
	// Error of the attempt, or the note of the retry, cut to [MaxAttemptError] bytes.
	Error string
	// Process and Worker that had the job; zero for a retry.
	Process, Worker uuid.UUID
	// By is who retried the job.
	By string
	// Fence is the job's at a retry: how often it had been handed out before the round. Of an attempt it is 0.
	Fence int64 `json:",omitempty"`
}

// Recorded reports whether an end is added to the history.
func (e End) Recorded() bool {
	return e.Outcome == OutcomeRequeued || e.Outcome == OutcomeFailed || e.Outcome == OutcomeCanceled
}

// AttemptOf is the entry of the job's history for an end, made of the job before it.
func AttemptOf(j Job, e End, now time.Time) Attempt {
	return Attempt{
		Round: j.Round, Attempt: j.Attempt, Outcome: e.Outcome, StartedAt: j.StartedAt, EndedAt: now,
		Error: CleanText(e.Error, MaxAttemptError), Process: j.Process, Worker: j.Worker,
	}
}

// RetryOf is the entry of the job's history for a retry, made of the job after it.
func RetryOf(j Job, r Retry) Attempt {
	return Attempt{Round: j.Round, Outcome: OutcomeRetried, StartedAt: r.Now, EndedAt: r.Now, Error: r.Note, By: r.By, Fence: j.Fence}
}

// AddAttempt adds an entry to a history and drops the oldest beyond [MaxHistory]. The history is not changed.
func AddAttempt(history []Attempt, a Attempt) []Attempt {
	history = append(slices.Clone(history), a)
	return history[max(0, len(history)-MaxHistory):]
}
