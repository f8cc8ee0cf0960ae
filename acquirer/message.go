package acquirer

import (
	"encoding/json"
	"fmt"
	"strconv"

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

// text is the message as encoding/json writes it. What is written for a posting delays a job that somebody may be waiting for, mostly after
// a pause: then the code of encoding/json is in no cache of the processor, and took a hundredth of the time from the posting to the start.
func (m message) text() string {
	b := append(make([]byte, 0, 256), `{"p":`...)
	b = appendID(b, m.Process)
	b = strconv.AppendUint(append(b, `,"n":`...), m.Seq, 10)
	if m.Ping {
		b = append(b, `,"ping":true`...)
	}
	b = appendList(b, "jobs", m.Jobs, laneNote.appendTo)
	b = appendList(b, "taken", m.Taken, laneNote.appendTo)
	b = appendList(b, "freed", m.Freed, func(id uuid.UUID, b []byte) []byte { return appendID(b, id) })
	b = appendList(b, "cancel", m.Cancel, func(l queue.Lease, b []byte) []byte {
		b = appendID(append(b, `{"Job":`...), l.Job)
		return append(strconv.AppendInt(append(b, `,"Fence":`...), l.Fence, 10), '}')
	})
	return string(append(b, '}'))
}

func (n laneNote) appendTo(b []byte) []byte {
	b = appendID(append(b, `{"o":`...), n.Organization)
	b = strconv.AppendUint(append(b, `,"l":`...), n.Lane, 10)
	if n.From != 0 {
		b = strconv.AppendInt(append(b, `,"f":`...), n.From, 10)
	}
	if n.Count != 0 {
		b = strconv.AppendInt(append(b, `,"c":`...), int64(n.Count), 10)
	}
	if n.Process != uuid.Nil {
		b = appendID(append(b, `,"p":`...), n.Process)
	}
	if n.Seq != 0 {
		b = strconv.AppendUint(append(b, `,"n":`...), n.Seq, 10)
	}
	return append(b, '}')
}

func appendID(b []byte, id uuid.UUID) []byte {
	return append(append(append(b, '"'), id.String()...), '"')
}

func appendList[T any](b []byte, name string, list []T, one func(T, []byte) []byte) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":[`...)
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(item, b)
	}
	return append(b, ']')
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
