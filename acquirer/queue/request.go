package queue

import (
	"strings"
	"time"

	"github.com/google/uuid"
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
	// Silence is for workers outside this process: how long one may go without [Acquirer.Renew] before it
	// counts as lost. Zero: the worker lives and dies with this process.
	Silence time.Duration
}

// Report is what a worker says about a job it works on.
type Report struct {
	Lease  Lease
	Worker uuid.UUID
	// Progress replaces what was said before; nil keeps it.
	Progress *Progress
	// Lines are appended to the job's log. Their Seq is ignored; a zero At is now.
	Lines []Line
	// Silence is as in [Request]: how long until the next report. Zero keeps what was agreed.
	Silence time.Duration
}

// Limits of a report. Longer texts are cut.
const (
	MaxLine        = 16 << 10
	MaxMessageText = 1 << 10
)

// CleanText makes a text storable in every database: valid UTF-8, no zero byte, not too long.
func CleanText(s string, limit int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > limit {
		s = s[:limit-len(cutMark)] + cutMark
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

const cutMark = "..."
