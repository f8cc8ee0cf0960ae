package acquirer

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// message is what processes announce to each other. Every part is a hint: a message that is lost, repeated, late, out of
// order or forged costs a little work, never a job. In a database that others may use anybody can send one and read all of
// them. So nothing in it is believed that the store has not said, and it names no type and no tag.
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
	Organization uuid.UUID `json:"o"`
	// Lane is its [queue.Lane.Digest].
	Lane uint64 `json:"l"`
	// From is a lower bound of the order numbers and Count the number of jobs, of a lane that holds some.
	From  int64 `json:"f,omitempty"`
	Count int   `json:"c,omitempty"`
	// Process and Seq name the message that left the lane to its taker.
	Process uuid.UUID `json:"p,omitzero"`
	Seq     uint64    `json:"n,omitempty"`

	lane queue.Lane // of those that are to be sent
}

func note(l queue.Lane) laneNote {
	return laneNote{Organization: l.Organization, Lane: l.Digest(), lane: l}
}

// maxNoted bounds what a message says of a lane's jobs.
const maxNoted = 1 << 20

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
		if n.Count < 0 || n.Count > maxNoted || n.From < 0 {
			return message{}, fmt.Errorf("message of another kind: %d jobs from %d", n.Count, n.From)
		}
	}
	return m, nil
}
