package acquirer

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// enqueue stores postings. After a quiet time the store announces them itself if it can, in their own commit: that is the one message
// which somebody may be waiting for. What comes while others are sent goes with those (see publishLoop), because commits that send
// wait for each other, so of a process at most one in a pause does.
func (a *Acquirer) enqueue(ctx context.Context, postings []queue.Posting) ([]queue.Job, error) {
	now := a.now()
	carrying, organization, ok := a.carry(ctx, now, postings)
	jobs, err := a.store.Enqueue(carrying, now, postings)
	if ok {
		a.carried(organization, jobs, err)
	}
	return jobs, err
}

// carry returns a context that carries the announcement of postings, and whose they are; ok is false if it carries none.
func (a *Acquirer) carry(ctx context.Context, now time.Time, postings []queue.Posting) (_ context.Context, organization uuid.UUID, ok bool) {
	id := oneOrganization(postings)
	if a.carrier == nil || id == nil || len(postings) > maxCarried || !a.outgoing.quiet() {
		return ctx, uuid.Nil, false
	}
	notes := a.notesOf(now, postings)
	if len(notes) == 0 {
		return ctx, uuid.Nil, false
	}
	seq, ok := a.outgoing.carry(*id)
	if !ok {
		return ctx, uuid.Nil, false
	}
	m := message{Process: a.process(), Seq: seq, Jobs: notes}
	return a.carrier.Carry(ctx, strings.Split(m.text(), strconv.FormatInt(unnumbered, 10))), *id, true
}

// maxCarried is how many postings a message tells of that is carried. More take longer than a message, and might not fit into one.
const maxCarried = 32

// unnumbered stands for the number that the store gives: the longest one, so that the text becomes no longer.
const unnumbered = math.MaxInt64

// notesOf are the lanes of postings that are ready at once; none if somebody here would claim from one of them.
func (a *Acquirer) notesOf(now time.Time, postings []queue.Posting) (notes []laneNote) {
	places := make(map[queue.Lane]int, 1)
	for _, p := range postings {
		lane, err := p.Lane()
		if err != nil || p.ReadyAt(now).After(now) {
			continue // the store says what is wrong
		}
		i, known := places[lane]
		if !known {
			i = len(notes)
			places[lane], notes = i, append(notes, note(lane))
			notes[i].From = unnumbered
		}
		notes[i].Count++
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range notes {
		if a.dispatch.Served(n.lane) {
			return nil
		}
	}
	return notes
}

// carried takes in what became of a message that was to be carried. What it did not tell of is announced now.
func (a *Acquirer) carried(organization uuid.UUID, jobs []queue.Job, err error) {
	sent, all := false, err == nil
	for i := range jobs {
		sent = sent || jobs[i].Announced
		all = all && jobs[i].Announced
	}
	if sent {
		a.metrics.published(nil)
	}
	if !all {
		a.outgoing.unsay(organization)
	}
}
