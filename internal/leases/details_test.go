package leases_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// What was planned for a state is void in the next.
func TestPlansEndWithTheirState(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	b.Hold(j, time.Minute, noon)
	b.Suspect(j, "process lost", after(time.Second), after(time.Second))
	doubts, _ := b.Due(after(time.Second))
	b.Postpone(doubts[0], after(time.Hour))
	if b.Judge(doubts[0]) == nil {
		t.Fatal("the doubt does not stand")
	}
	if at, ok := b.Next(); ok {
		t.Errorf("at %v somebody is asked about what is judged", at)
	}
}

func TestOthersOfAProcessStay(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	for n := byte(1); n <= 3; n++ {
		b.Hold(job(n, self), 0, noon)
	}
	for n := byte(1); n <= 2; n++ {
		call, _ := b.End(job(n, self).Lease(), noon)
		b.Over(call)
		if got := b.Len(self); got != int(3-n) {
			t.Errorf("%d leases after %d ends", got, n)
		}
	}
	call, _ := b.Report(job(3, self), other, 0, noon)
	b.Renewed(call, other, noon)
	if b.Len(self) != 0 || b.Len(other) != 1 {
		t.Errorf("%d and %d leases", b.Len(self), b.Len(other))
	}
}

// A worker that reports has the job, though it had been on its way back.
func TestReportOfWhatWasGivenBack(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	d := b.Return(j)
	b.Postpone(d, after(time.Hour))
	call, err := b.Report(j, self, time.Minute, noon)
	if err != nil || !b.Find(j.Lease()).HeardAt().Equal(noon) {
		t.Fatal(err)
	}
	b.Renewed(call, self, noon)
	due, _ := b.Due(after(time.Minute))
	if len(due) != 1 || !due[0].Handed || due[0].Why != "worker went silent" {
		t.Errorf("due %+v", due)
	}
}

// A verdict about an old doubt is void, also when there is a new one.
func TestOldDoubt(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	b.Hold(j, time.Minute, noon)
	first, _ := b.Due(after(time.Minute))
	call, _ := b.Report(j, self, 0, after(time.Minute))
	b.Renewed(call, self, after(time.Minute))
	second, _ := b.Due(after(2 * time.Minute))
	if len(first) != 1 || len(second) != 1 {
		t.Fatal("not silent")
	}
	if b.Judge(first[0]) != nil {
		t.Error("an old verdict is stored")
	}
	if _, ok := b.See(first[0], j, self); ok {
		t.Error("an old doubt stands")
	}
	b.Postpone(first[0], after(time.Hour))
	if _, ok := b.Next(); ok {
		t.Error("an old doubt is postponed")
	}
	if b.Judge(second[0]) == nil {
		t.Error("the new one is void")
	}
}

// A comparison brings the book up to what the store says of a job.
func TestCompareNames(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	b.Hold(j, 0, noon)
	j.Attempt = 7
	b.Compare(self, []queue.Job{j}, after(time.Second), after(time.Second))
	if got := b.Find(j.Lease()).Job.Attempt; got != 7 {
		t.Errorf("attempt %d", got)
	}
}

// With a process its claims under way are forgotten: what they got is nobody's.
func TestDropForgetsClaims(t *testing.T) {
	t.Parallel()
	b, j, late := leases.New(nil), job(1, other), job(2, other)
	j.Token, late.Token = uuid.UUID{1}, uuid.UUID{2}
	b.Open(j.Token)
	b.CloseLate(late.Token, noon)
	b.Drop(self)
	strays, _ := b.Compare(other, []queue.Job{j, late}, after(time.Second), after(time.Second))
	if len(strays) != 0 || b.Find(j.Lease()) == nil || b.Find(j.Lease()).State() != leases.Doubtful || b.Find(late.Lease()).State() != leases.Doubtful {
		t.Errorf("strays %+v", strays)
	}
}

// Without a limit no run is past it; and a worker that is overdue is not given up in the middle of a call.
func TestPastLimit(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	e := b.Hold(j, 0, noon)
	if e.PastLimit(after(1000*time.Hour)) || !e.LimitAt().IsZero() {
		t.Error("a run without a limit has passed it")
	}
	b, j, e = limited(0)
	if e.PastLimit(after(time.Hour-1)) || !e.PastLimit(after(time.Hour)) || !e.LimitAt().Equal(after(time.Hour)) {
		t.Error("PastLimit")
	}
	b.Stop(e, "late", after(2*time.Hour))
	doubts, _ := b.Due(after(2 * time.Hour))
	end, _ := b.End(j.Lease(), after(2*time.Hour))
	b.Unknown(end, after(2*time.Hour))
	if len(doubts) != 1 || e.State() != leases.Held {
		t.Fatalf("%+v, state %v", doubts, e.State())
	}
	call, _ := b.Report(j, self, 0, after(2*time.Hour))
	if _, ok := b.Next(); ok {
		t.Error("given up in the middle of a call")
	}
	b.Renewed(call, self, after(2*time.Hour))
	if again, _ := b.Due(after(2 * time.Hour)); len(again) != 1 || !again[0].Overdue {
		t.Errorf("%+v", again)
	}
}
