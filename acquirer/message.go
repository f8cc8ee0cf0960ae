package acquirer

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// message is what processes announce to each other. Every part is a hint: a message that is lost, repeated, late or
// out of order costs a little work, never a job.
type message struct {
	Process uuid.UUID `json:"p"`
	// Seq is the number among the sender's messages.
	Seq uint64 `json:"n"`
	// Ping: the sender listens for its own messages.
	Ping bool `json:"ping,omitempty"`
	// Jobs are lanes that hold some.
	Jobs []laneNote `json:"jobs,omitempty"`
	// Taken were lanes left to the sender, and why.
	Taken []laneNote `json:"taken,omitempty"`
	// Freed are organizations in which a running job ended.
	Freed []uuid.UUID `json:"freed,omitempty"`
	// Cancel are leases whose job somebody asked to cancel.
	Cancel []queue.Lease `json:"cancel,omitempty"`
}

// laneNote is a lane in a message, in short names: thousands of them may travel in a second.
type laneNote struct {
	Organization uuid.UUID    `json:"o"`
	Type         string       `json:"t"`
	Tags         queue.TagSet `json:"g,omitzero"`
	Priority     int16        `json:"r,omitempty"`
	// From is a lower bound of the order numbers and Count the number of jobs, of a lane that holds some.
	From  int64 `json:"f,omitempty"`
	Count int   `json:"c,omitempty"`
	// Process and Seq name the message that left the lane to its taker.
	Process uuid.UUID `json:"p,omitzero"`
	Seq     uint64    `json:"n,omitempty"`
}

func note(l queue.Lane) laneNote {
	return laneNote{Organization: l.Organization, Type: l.Type, Tags: l.Tags, Priority: l.Priority}
}

func (n laneNote) lane() queue.Lane {
	return queue.Lane{Organization: n.Organization, Type: n.Type, Tags: n.Tags, Priority: n.Priority}
}

// split cuts a message into as many as it takes for each to be short enough. A part too long by itself is
// dropped: a lane never is, by the limits of types and tag sets.
func (m message) split() []string {
	text := m.text()
	if len(text) <= queue.MaxMessage {
		return []string{text}
	}
	if m.parts() < 2 {
		return nil
	}
	first, second := m.halve()
	return append(first.split(), second.split()...)
}

// text leaves <, > and & as they are: escaped for HTML, a tag set could be too long for a message.
func (m message) text() string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		panic(err) // there is nothing in it that does not marshal
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (m message) parts() int { return len(m.Jobs) + len(m.Taken) + len(m.Freed) + len(m.Cancel) }

// halve keeps process and number: both halves are the same message. Each gets at least one part.
func (m message) halve() (first, second message) {
	first = message{Process: m.Process, Seq: m.Seq, Ping: m.Ping}
	second = message{Process: m.Process, Seq: m.Seq}
	n := m.parts() / 2
	first.Jobs, second.Jobs = cut(m.Jobs, &n)
	first.Taken, second.Taken = cut(m.Taken, &n)
	first.Freed, second.Freed = cut(m.Freed, &n)
	first.Cancel, second.Cancel = cut(m.Cancel, &n)
	return first, second
}

// cut takes up to n items off a list and counts them down.
func cut[T any](list []T, n *int) (first, rest []T) {
	k := min(*n, len(list))
	*n -= k
	return list[:k], list[k:]
}

func parseMessage(text string) (message, error) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return message{}, fmt.Errorf("message of another kind: %w", err)
	}
	for _, n := range m.Jobs {
		if err := queue.ValidateType(n.Type); err != nil {
			return message{}, err
		}
	}
	return m, nil
}
