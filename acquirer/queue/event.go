package queue

import (
	"time"

	"github.com/google/uuid"
)

// EventKind says what an [Event] is about.
type EventKind string

const (
	// EventUnmatched: no worker of any live process can run the ready jobs of a lane. Given once, when it
	// becomes so, for all lanes of an organization together and at most once in a heartbeat.
	EventUnmatched EventKind = "job.unmatched"
	// EventMatched: a lane that was unmatched has an able worker again, or it is empty.
	EventMatched EventKind = "job.matched"
	// EventReaped: a job's worker was lost, and the host's policy for lost jobs decided.
	EventReaped EventKind = "job.reaped"
	// EventExpired: a job that nobody could run for as long as the host allows was failed.
	EventExpired EventKind = "job.expired"
	// EventTimeout: a job's run has reached its limit, and its worker was told to stop.
	EventTimeout EventKind = "job.timeout"
	// EventProcessLost: a process was declared lost, as a rule because it was silent for the length of a lease.
	EventProcessLost EventKind = "process.lost"
)

// Event is something that happened and concerns people. Of several processes, one gives each event; when
// processes come and go it may be given twice.
type Event struct {
	Kind EventKind
	At   time.Time
	// Lane, of an unmatched, matched or expired event; of several lanes of one organization it is one.
	Lane Lane
	// Lanes is how many lanes an unmatched or matched event is about: what is so at the same time is said once.
	Lanes int
	// Jobs is the number of ready jobs in the lanes, counted up to 1,000 in each.
	Jobs int
	// Job, of a reaped, expired or timeout event, as it is now. A reaped one's has no result and no secret's hash, and its progress is what the
	// process knew of it; a timeout's is an outline.
	Job Job
	// Process that was lost, of a reaped or process event.
	Process uuid.UUID
	// Reason in words: what the nearest worker lacks, or what was lost.
	Reason string
}
