package leases_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

var (
	self, other = uuid.UUID{1}, uuid.UUID{2}
	noon        = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

func job(n byte, process uuid.UUID) queue.Job {
	return queue.Job{ID: uuid.UUID{15: n}, Fence: 1, Type: "build", State: queue.Running, Process: process}
}

func after(d time.Duration) time.Time { return noon.Add(d) }

// A worker whose call is under way is not silent, however long the store takes.
func TestNoSilenceDuringACall(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	j := job(1, self)
	b.Hold(j, time.Minute, noon)
	call, err := b.Report(j, self, 0, after(50*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	second, _ := b.Report(j, self, 0, after(50*time.Second))
	b.Unknown(second, after(51*time.Second))
	if due, _ := b.Due(after(time.Hour)); len(due) != 0 {
		t.Fatalf("doubted while it reports: %+v", due)
	}
	b.Renewed(call, self, after(time.Hour))
	if due, _ := b.Due(after(time.Hour + 59*time.Second)); len(due) != 0 {
		t.Fatalf("doubted before its silence was over: %+v", due)
	}
	if due, _ := b.Due(after(time.Hour + time.Minute)); len(due) != 1 || !due[0].Handed || !due[0].Seen {
		t.Fatalf("after its silence: %+v", due) // the answer of the last report says how the job is
	}
}

// A comparison says nothing about leases that are younger than its question, are being talked about, or are decided.
func TestCompareLeavesWhatIsYounger(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	old, young, talking, foreign := job(1, self), job(2, self), job(3, self), job(4, other)
	b.Hold(old, 0, noon)
	b.Hold(talking, 0, noon)
	if _, err := b.End(talking.Lease(), noon); err != nil {
		t.Fatal(err)
	}
	b.Hold(young, 0, after(2*time.Second))
	b.Suspect(foreign, "process lost", noon, noon)
	deciding := b.Return(job(5, self))
	strays, gone := b.Compare(self, nil, after(time.Second), after(3*time.Second))
	if len(strays) != 0 || len(gone) != 1 || gone[0].Job.ID != old.ID {
		t.Fatalf("%d strays, gone %+v; want the old one gone", len(strays), gone)
	}
	for _, j := range []queue.Job{young, talking, foreign, deciding.Job} {
		if b.Find(j.Lease()) == nil {
			t.Errorf("lease %v has left", j.Lease())
		}
	}
	if n := b.Len(self); n != 3 {
		t.Errorf("%d leases of the process, want 3", n)
	}
}

// What nobody has was given to no worker only if a claim without an answer brought it.
func TestStrays(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	token, unknown, open := uuid.UUID{7}, uuid.UUID{8}, uuid.UUID{9}
	late, moved, claimed := job(1, self), job(2, self), job(3, self)
	late.Token, moved.Token, claimed.Token = token, unknown, open
	b.Open(token)
	b.CloseLate(token, noon)
	b.Open(open)
	strays, _ := b.Compare(self, []queue.Job{late, moved, claimed}, noon, after(time.Second))
	if len(strays) != 1 || strays[0].Job.ID != late.ID || strays[0].Handed {
		t.Fatalf("to give back: %+v", strays)
	}
	due, _ := b.Due(after(time.Second))
	if len(due) != 1 || due[0].Job.ID != moved.ID || !due[0].Handed {
		t.Fatalf("in doubt: %+v", due)
	}
	if b.Find(claimed.Lease()) != nil {
		t.Error("what an open claim has got is a stray")
	}
	b.Compare(self, nil, after(3*time.Hour), after(3*time.Hour))
	if strays, _ := b.Compare(self, []queue.Job{late}, after(4*time.Hour), after(4*time.Hour)); len(strays) != 0 {
		t.Error("a late claim is remembered for ever")
	}
}

// After a report without an answer nobody knows under which process the job stands: it is looked up before a verdict.
func TestUnknownIsLookedUp(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	j := job(1, other)
	b.Suspect(j, "process lost", noon, noon)
	call, err := b.Report(j, self, time.Minute, noon)
	if err != nil {
		t.Fatal(err)
	}
	b.Unknown(call, noon)
	due, _ := b.Due(after(time.Minute))
	if len(due) != 1 || due[0].Seen {
		t.Fatalf("%+v, want one unseen", due)
	}
	j.Process = uuid.UUID{3}
	if _, ok := b.See(due[0], j, self); ok || b.Find(j.Lease()) != nil {
		t.Error("a lease that another process keeps stays in the book")
	}
}

// A call that the worker makes while an end is being stored is turned away; afterwards the store's answer counts.
func TestCallsWhileJudged(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	j := job(1, self)
	b.Hold(j, time.Minute, noon)
	doubts, _ := b.Due(after(time.Minute))
	d := doubts[0]
	if b.Judge(d) == nil {
		t.Fatal("the verdict is void")
	}
	if _, err := b.Report(j, self, 0, after(time.Minute)); !errors.Is(err, leases.ErrJudged) {
		t.Errorf("a report: %v", err)
	}
	if _, err := b.End(j.Lease(), after(time.Minute)); !errors.Is(err, leases.ErrJudged) {
		t.Errorf("an end: %v", err)
	}
	b.Postpone(d, after(2*time.Minute)) // the store refused it
	if _, err := b.Report(j, self, 0, after(time.Minute)); err != nil {
		t.Errorf("a report after the refusal: %v", err)
	}
	if b.Judge(d) != nil {
		t.Error("a verdict about a worker that came back is not void")
	}
}

// An end that is given up puts a job in doubt at once, unless its worker may come back with it.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	for silence, want := range map[time.Duration]int{0: 1, time.Minute: 0} {
		b := leases.New(nil)
		j := job(1, self)
		b.Hold(j, silence, noon)
		call, _ := b.End(j.Lease(), noon)
		b.GiveUp(call, "end given up", after(time.Second))
		if due, _ := b.Due(after(2 * time.Second)); len(due) != want {
			t.Errorf("silence %s: %d doubts, want %d", silence, len(due), want)
		}
	}
}

// A report that was refused because the process is not registered leaves no trace of a lease that it brought.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	j := job(1, other)
	call, _ := b.Report(j, self, time.Minute, noon)
	b.Refused(call, noon)
	if b.Find(j.Lease()) != nil || b.Len(self) != 0 {
		t.Error("the lease is in the book")
	}
}
