package storetest

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobDirectoryTests = []jobTest{
	{"Processes", listProcesses},
	{"ProcessesUnreadable", listUnreadable},
}

// directory is the store as one that lists processes; others skip the test.
func (k *jobKit) directory() queue.Directory {
	d, ok := k.store.(queue.Directory)
	if !ok {
		k.t.Skipf("%T is no queue.Directory", k.store)
	}
	return d
}

func (k *jobKit) processes(limit int) (all []queue.Process) {
	k.t.Helper()
	for q := (queue.ProcessQuery{Limit: limit}); ; q.After = all[len(all)-1].ID {
		page, err := k.directory().Processes(k.ctx, q)
		k.noError(err, "Processes")
		k.must(len(page) <= limit, "Processes returns at most Limit", "%d of %d", len(page), limit)
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
	}
}

func listProcesses(k *jobKit) {
	domain, err := queue.NewDomain(k.org, []string{"build"}, map[string]string{"os": "linux"})
	k.noError(err, "NewDomain")
	workers := []queue.DomainWorkers{{Domain: domain, Waiting: 2, Busy: 1}}
	_, err = k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: k.process, Name: "one", Now: k.now, Workers: workers})
	k.noError(err, "Heartbeat")
	var ids []uuid.UUID
	for range 4 {
		ids = append(ids, uuid.New())
		k.heartbeat(ids[len(ids)-1])
	}
	ids = append(ids, k.process)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	k.claim(1, k.enqueue(k.postings(1)...)[0])
	gone := ids[0]
	if gone == k.process {
		gone = ids[1]
	}
	_, err = k.store.Reap(k.ctx, queue.ReapRequest{Now: k.now, Process: gone, Heartbeats: 1, Limit: 1})
	k.noError(err, "Reap")
	for _, limit := range []int{1, 2, 5, 100} {
		var got []uuid.UUID
		for _, p := range k.processes(limit) {
			got = append(got, p.ID)
			k.must(p.Lost == (p.ID == gone), "Processes says who was declared lost", "%+v", p)
			if p.ID == k.process {
				k.must(p.Name == "one" && p.HeartbeatAt.Equal(k.now) && p.Holding == 1 && reflect.DeepEqual(p.Workers, workers),
					"Processes says what a process holds, and who works for it", "%+v", p)
			}
		}
		k.must(slices.Equal(got, ids), "Processes lists every registered process once, by id", "got  %v\n\twant %v", got, ids)
	}
	for _, limit := range []int{0, -1, 1001} {
		_, err := k.directory().Processes(k.ctx, queue.ProcessQuery{Limit: limit})
		k.must(field(err) == "ProcessQuery.Limit", "Processes refuses a limit out of range", "%d: %v", limit, err)
	}
}

func listUnreadable(k *jobKit) {
	if k.o.Garble == nil {
		k.t.Skip("no Options.Garble")
	}
	k.o.Garble(k.t, k.store, k.process, k.enqueue(k.posting())[0].Tags)
	got := k.processes(10)
	k.must(len(got) == 1 && got[0].ID == k.process && got[0].Workers == nil, "workers that cannot be read are left out, their process is not", "%+v", got)
}
