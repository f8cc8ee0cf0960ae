package memory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// Whoever can touch a dump must not get past the checks of the verbs by it. A dump is refused, or restored whole.

const (
	// maxDumpHead bounds the first line, which says that the rest is a dump, and maxDumpLine all others: a job with the longest log
	// that is kept.
	maxDumpHead = 1 << 10
	maxDumpLine = 256 << 20
	// maxPlace is above every order number and fence that a store gives out in this universe, and far from overflow.
	maxPlace = 1 << 60
)

// readLine reads a line up to its break and no further than a limit.
func readLine(r *bufio.Reader, limit int) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fmt.Errorf("the line is longer than %d bytes", limit)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// decodeRow reads what a line says: one thing, and nothing that this version does not know.
func decodeRow(line []byte, row *entryRow) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(row); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the row")
	}
	return nil
}

// unseen refuses an id that a line before had.
func unseen[V any](what string, id uuid.UUID, known map[uuid.UUID]V) error {
	if _, twice := known[id]; twice {
		return invalid.New(what, id, "must not occur twice")
	}
	return nil
}

// check compares a job with the rules under which every job comes into a store and changes there.
func (r *jobRow) check() error {
	j := &r.Job
	posting := queue.Posting{Type: j.Type, Tags: j.Tags.Map(), Weight: j.Weight, Payload: j.Payload, Trace: j.Trace}
	if err := posting.Validate(); err != nil {
		return err
	}
	held := j.Process != uuid.Nil && j.Fence > 0 && !j.StartedAt.IsZero()
	switch {
	case j.ID == uuid.Nil:
		return invalid.New("Job.ID", j.ID, "must be set")
	case j.Weight < 1:
		return invalid.New("Job.Weight", j.Weight, "must be at least 1")
	case j.State != queue.Pending && j.State != queue.Running && !j.State.Final():
		return invalid.New("Job.State", string(j.State), "is unknown")
	case j.State == queue.Running && !held:
		return invalid.New("Job.State", string(j.State), "must have a process, a fence and a start")
	case j.State.Final() == j.EndedAt.IsZero():
		return invalid.New("Job.EndedAt", j.EndedAt, "must be set if the job is over, and only then")
	case r.Delayed && j.State != queue.Pending:
		return invalid.New("Job.Delayed", r.Delayed, "must be pending")
	case j.Order < 0 || j.Order > maxPlace:
		return invalid.New("Job.Order", j.Order, "must be between 0 and %d", int64(maxPlace))
	case j.Attempt < 0 || j.Fence < int64(j.Attempt) || j.Fence > maxPlace:
		return invalid.New("Job.Attempt", j.Attempt, "must be between 0 and the fence, %d", j.Fence)
	case len(j.Result) > queue.MaxResult:
		return invalid.New("Job.Result", len(j.Result), "must be at most %d bytes", queue.MaxResult)
	case len(j.Error) > queue.MaxErrorText || len(j.Progress.Message) > queue.MaxErrorText:
		return invalid.New("Job.Error", len(j.Error), "must be at most %d bytes", queue.MaxErrorText)
	case j.Progress.Percent < 0 || j.Progress.Percent > 100:
		return invalid.New("Job.Progress.Percent", j.Progress.Percent, "must be between 0 and 100")
	case !j.Secret.IsZero() || len(r.SecretHash) != 0 && len(r.SecretHash) != len(j.SecretHash):
		return invalid.New("Job.SecretHash", len(r.SecretHash), "must be a hash, and no secret")
	}
	return r.checkLines()
}

func (r *jobRow) checkLines() error {
	last := int64(0)
	for _, l := range r.Lines {
		switch {
		case l.Seq <= last || l.Seq > r.LastSeq:
			return invalid.New("Line.Seq", l.Seq, "must rise, up to %d", r.LastSeq)
		case len(l.Text) > 2*queue.MaxLine:
			return invalid.New("Line.Text", len(l.Text), "must be at most %d bytes", queue.MaxLine)
		}
		last = l.Seq
	}
	if r.LastSeq < 0 || r.LastSeq > maxPlace {
		return invalid.New("Job.LastSeq", r.LastSeq, "must be between 0 and %d", int64(maxPlace))
	}
	return nil
}

func (r *turnRow) check() error {
	for _, n := range r.Last {
		if n < 0 || n > maxPlace {
			return invalid.New("Turn.Last", n, "must be between 0 and %d", int64(maxPlace))
		}
	}
	if r.Claimed < 0 || r.Claimed > maxPlace {
		return invalid.New("Turn.Claimed", r.Claimed, "must be between 0 and %d", int64(maxPlace))
	}
	return nil
}

func (r *processRow) check() error {
	switch {
	case r.ID == uuid.Nil:
		return invalid.New("Process.ID", r.ID, "must be set")
	case r.Heartbeats < 1 || r.Heartbeats > maxPlace:
		return invalid.New("Process.Heartbeats", r.Heartbeats, "must be at least 1")
	case r.Lost == r.LostAt.IsZero():
		return invalid.New("Process.LostAt", r.LostAt, "must be set if the process is lost, and only then")
	}
	for _, w := range r.Workers {
		if w.Waiting < 0 || w.Busy < 0 {
			return invalid.New("Process.Workers", min(w.Waiting, w.Busy), "must not be negative")
		}
	}
	return nil
}

// check sees that events are of one line of the outbox, in their order.
func (r *eventsRow) check(o *outbox) error {
	first := r.Events[0]
	if _, twice := o.lines[lineKey{first.Subject(), first.Topic}]; twice {
		return invalid.New("Events", first.Subject(), "must not occur twice for a workspace and topic")
	}
	last := int64(0)
	for _, e := range r.Events {
		if e.Subject() != first.Subject() || e.Topic != first.Topic || e.Seq <= last || e.Seq > maxPlace {
			return invalid.New("Events", e.Seq, "must be of one workspace and topic, with rising numbers")
		}
		last = e.Seq
	}
	return nil
}
