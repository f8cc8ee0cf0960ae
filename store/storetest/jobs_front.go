package storetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// endRequeuedFirst puts a job back in front of the others of its tenant, and so in front of those of other tenants.
func endRequeuedFirst(k *jobKit) {
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	tenant := uuid.New()
	posted := k.enqueue(
		queue.Posting{ID: ids[0], Organization: k.org, Tenant: tenant, Type: "build"},
		queue.Posting{ID: ids[1], Organization: k.org, Tenant: uuid.New(), Type: "build"},
		queue.Posting{ID: ids[2], Organization: k.org, Tenant: tenant, Type: "build"},
	)
	first := k.claim(1, posted[0])[0]
	k.must(first.ID == ids[0], "of two with one number the lower id goes first", "%s", first.ID)
	k.end(queue.End{Handout: k.handout(first), Outcome: queue.OutcomeRequeued})
	again := k.claim(1, posted[0])[0]
	k.must(again.ID == ids[0], "a job that is put back goes before those of other tenants", "%s, want %s", again.ID, ids[0])
}

// logOfTheCaller writes lines with what must not be in a text.
func logOfTheCaller(k *jobKit) {
	job := k.running()
	lines := []queue.Line{{At: k.now, Text: "a\x00b"}}
	k.must(k.renew(queue.Renewal{Handout: k.handout(job), Process: k.process, Lines: lines}).Err == nil, "a renewal with lines is accepted", "it was not")
	k.must(lines[0].Text == "a\x00b", "the lines of a renewal stay the caller's", "%q", lines[0].Text)
	k.must(k.texts(job)[0] == "a\uFFFDb", "a line is stored without what must not be in a text", "%q", k.texts(job)[0])
}

// pruneReturning has a process that was lost long ago come back under its id.
func pruneReturning(k *jobKit) {
	lost := uuid.New()
	k.heartbeat(lost)
	k.reap(lost, 10)
	_, err := k.store.PruneJobs(k.ctx, k.now.Add(time.Microsecond), 10)
	k.noError(err, "PruneJobs")
	_, err = k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: lost, Name: "test", Now: k.now})
	k.must(err == nil, "a process that nobody remembers is a new one", "error %v", err)
}
