package storetest

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobUniqueTests = []jobTest{
	{"WhilePending", uniquePending},
	{"WhileRunning", uniqueRunning},
	{"UntilTheEnd", uniqueEnd},
	{"Scope", uniqueScope},
	{"WithinOneCall", uniqueWithin},
	{"Delayed", uniqueDelayed},
	{"Race", uniqueRace},
}

func withUnique(key string) func(*queue.Posting) {
	return func(p *queue.Posting) { p.Unique = key }
}

func uniquePending(k *jobKit) {
	first := k.enqueue(k.posting(withUnique("a")))[0]
	k.must(!first.Duplicate && first.Unique == "a", "the first posting of a key makes a job", "%+v", first)
	posted := k.enqueue(k.posting(), k.posting(withUnique("a")), k.posting(withUnique("b")))
	k.must(posted[1].ID == first.ID && posted[1].Duplicate, "a second posting of a key is answered with the job that is there, as a duplicate", "%+v", posted[1])
	k.must(!posted[0].Duplicate && !posted[2].Duplicate, "other postings of the call make jobs", "%+v", posted)
	k.must(len(k.claim(9, first)) == 3, "a duplicate makes no job", "there are others than three")
	k.must(k.get(first.ID).Unique == "a" && !k.get(first.ID).Duplicate, "the key is stored, the duplicate is not", "%+v", k.get(first.ID))
}

func uniqueRunning(k *jobKit) {
	first := k.running(withUnique("a"))
	again := k.enqueue(k.posting(withUnique("a")))[0]
	k.must(again.ID == first.ID && again.Duplicate && again.State == queue.Running, "a running job keeps its key", "%+v", again)
	k.end(queue.End{Handout: k.handout(first), Outcome: queue.OutcomeRequeued})
	again = k.enqueue(k.posting(withUnique("a")))[0]
	k.must(again.ID == first.ID && again.Duplicate, "a requeued job keeps its key", "%+v", again)
}

func uniqueEnd(k *jobKit) {
	for _, outcome := range []queue.Outcome{queue.OutcomeSucceeded, queue.OutcomeFailed, queue.OutcomeCanceled} {
		first := k.running(withUnique("a"))
		k.end(queue.End{Handout: k.handout(first), Outcome: outcome})
		next := k.enqueue(k.posting(withUnique("a")))[0]
		k.must(next.ID != first.ID && !next.Duplicate, "a job that is over gives its key back", "not after %s", outcome)
		k.cancel("", next)
	}
	next := k.enqueue(k.posting(withUnique("a")))[0]
	k.must(!next.Duplicate, "a job that was canceled while it waited gives its key back", "it does not")
}

func uniqueScope(k *jobKit) {
	k.enqueue(k.posting(withUnique("a")))
	for name, change := range map[string]func(*queue.Posting){
		"type": ofType("scan"), "organization": func(p *queue.Posting) { p.Organization = uuid.New() },
	} {
		k.must(!k.enqueue(k.posting(withUnique("a"), change))[0].Duplicate, "a key is of one organization and type", "another %s is a duplicate", name)
	}
	k.must(k.enqueue(k.posting(withUnique("a"), withPriority(3), withTags(map[string]string{"x": "y"})))[0].Duplicate, "tags, priority and tenant do not matter to a key", "it made a job")
}

func uniqueWithin(k *jobKit) {
	jobs := k.enqueue(k.posting(withUnique("a")), k.posting(withUnique("a")), k.posting())
	k.must(!jobs[0].Duplicate && jobs[1].Duplicate && jobs[1].ID == jobs[0].ID && !jobs[2].Duplicate, "of two postings of a key in one call the first makes the job", "%+v", jobs)
}

func uniqueDelayed(k *jobKit) {
	first := k.enqueue(k.posting(withUnique("a"), notBefore(k.now.Add(time.Hour))))[0]
	k.must(k.enqueue(k.posting(withUnique("a")))[0].ID == first.ID, "a job that waits for its time has its key", "it does not")
}

// uniqueRace posts one key from many goroutines.
func uniqueRace(k *jobKit) {
	var mu sync.Mutex
	made := make(map[uuid.UUID]int)
	var group sync.WaitGroup
	for range k.racers {
		group.Go(func() {
			for range 5 {
				jobs, err := k.store.Enqueue(k.ctx, k.now, []queue.Posting{k.posting(withUnique("a")), k.posting()})
				if err != nil {
					k.t.Errorf("Enqueue: unexpected error: %v", err)
					return
				}
				mu.Lock()
				if !jobs[0].Duplicate {
					made[jobs[0].ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	k.must(len(made) == 1, "postings of one key at the same time make one job", "%d jobs", len(made))
}
