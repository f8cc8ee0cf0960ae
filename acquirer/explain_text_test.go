package acquirer

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// What a job waits for is said of none, of one and of many.
func TestTextOfAJobInLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ahead, waiting, busy int
		want                 string
	}{
		{0, 0, 0, "It waits: no job goes before it; no slot that could run it is open."},
		{1, 1, 0, "It waits: 1 job goes before it; 1 slot could run it, and is free."},
		{2, 3, 0, "It waits: 2 jobs go before it; 3 slots could run it, and all are free."},
		{1000, 0, 1, "It waits: 1,000 jobs go before it; 1 slot could run it, and is busy."},
		{0, 0, 6, "It waits: no job goes before it; 6 slots could run it, and all are busy."},
		{0, 1, 1, "It waits: no job goes before it; 2 slots could run it, of which 1 is free and 1 is busy."},
		{0, 2, 4, "It waits: no job goes before it; 6 slots could run it, of which 2 are free and 4 are busy."},
	} {
		x := Explanation{
			Job: queue.Job{State: queue.Pending}, Able: []queue.Process{{}}, Ahead: c.ahead, Waiting: c.waiting, Busy: c.busy,
		}
		if got := x.text(time.Time{}, ""); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What keeps every worker from a job is one sentence.
func TestTextOfAJobThatNobodyCanRun(t *testing.T) {
	t.Parallel()
	lacks := queue.Mismatch{Missing: []queue.Tag{{Key: "gpu", Value: "yes"}}}
	for want, unable := range map[string]string{
		"No live worker can run it: the organization has no workers.":  unableText(nil, queue.Mismatch{}),
		"No live worker can run it: the nearest worker lacks gpu=yes.": unableText(&queue.Domain{}, lacks),
	} {
		if got := (Explanation{Job: queue.Job{State: queue.Pending}}).text(time.Now(), unable); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A process that has not heard of the workers of others does not say that there are none.
func TestTextBeforeTheFirstHeartbeat(t *testing.T) {
	t.Parallel()
	x := Explanation{Job: queue.Job{State: queue.Pending}, Unheard: true}
	if got, want := x.text(time.Now(), "the organization has no workers"), "It waits. This process has not heard yet which workers there are."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
