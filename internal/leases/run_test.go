package leases_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// limited is a book with one job whose run reaches its limit after an hour.
func limited(silence time.Duration) (*leases.Book, queue.Job, *leases.Entry) {
	b, j := leases.New(func(j queue.Job) time.Duration { return j.RunLimit }), job(1, self)
	j.RunLimit = time.Hour
	return b, j, b.Hold(j, silence, noon)
}

func wantNext(t *testing.T, b *leases.Book, want time.Time) {
	t.Helper()
	if at, ok := b.Next(); ok == want.IsZero() || !at.Equal(want) {
		t.Errorf("next %v %v, want %v", at, ok, want)
	}
}

// A limit comes once, and not before its time.
func TestLimitComesOnce(t *testing.T) {
	t.Parallel()
	b, _, e := limited(0)
	wantNext(t, b, after(time.Hour))
	if doubts, stops := b.Due(after(time.Hour - 1)); len(doubts)+len(stops) != 0 {
		t.Errorf("before the limit: %v, %v", doubts, stops)
	}
	if doubts, stops := b.Due(after(time.Hour)); len(doubts) != 0 || len(stops) != 1 || stops[0] != e {
		t.Errorf("at the limit: %v, %v", doubts, stops)
	}
	if doubts, stops := b.Due(after(9 * time.Hour)); len(doubts)+len(stops) != 0 || e.State() != leases.Held {
		t.Errorf("again: %v, %v", doubts, stops)
	}
	wantNext(t, b, time.Time{})
}

// A worker that was told to stop is in doubt after the grace, and neither a report nor its answer changes that; its end does.
func TestNotStoppedIsGivenUp(t *testing.T) {
	t.Parallel()
	b, j, e := limited(time.Minute)
	call, err := b.Report(j, self, 0, after(time.Hour-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, stops := b.Due(after(time.Hour)); len(stops) != 1 {
		t.Fatal("a report under way holds up the limit")
	}
	b.Stop(e, "it did not stop", after(2*time.Hour))
	b.Stop(e, "later", after(3*time.Hour))
	if doubts, _ := b.Due(after(4 * time.Hour)); len(doubts) != 0 {
		t.Fatal("given up while its call is under way")
	}
	b.Renewed(call, self, after(2*time.Hour-time.Second))
	wantNext(t, b, after(2*time.Hour))
	doubts, stops := b.Due(after(2 * time.Hour))
	if len(doubts) != 1 || len(stops) != 0 || !doubts[0].Overdue || !doubts[0].Handed || doubts[0].Why != "it did not stop" {
		t.Fatalf("after the grace: %+v, %v", doubts, stops)
	}
	call, err = b.Report(j, self, 0, after(2*time.Hour))
	if err != nil || e.State() != leases.Doubtful {
		t.Fatalf("a report makes the doubt void: %v, state %v", err, e.State())
	}
	b.Renewed(call, self, after(2*time.Hour))
	end, err := b.End(j.Lease(), after(2*time.Hour))
	if err != nil || e.State() != leases.Held {
		t.Fatalf("an end does not make the doubt void: %v, state %v", err, e.State())
	}
	if b.Judge(doubts[0]) != nil {
		t.Error("a verdict is stored while the end is")
	}
	b.Unknown(end, after(2*time.Hour))
	again, _ := b.Due(after(2 * time.Hour))
	if len(again) != 1 || !again[0].Overdue {
		t.Fatalf("the end has got no answer: %+v", again)
	}
	if b.Judge(again[0]) == nil {
		t.Error("the verdict is void")
	}
	if _, err := b.Report(j, self, 0, after(2*time.Hour)); !errors.Is(err, leases.ErrJudged) {
		t.Errorf("a report while the verdict is stored: %v", err)
	}
	if b.Judged(again[0]) != e || b.Len(self) != 0 {
		t.Error("the lease is still in the book")
	}
}

// Who was told to stop by somebody's wish is not told again at the limit, and the sooner end of grace counts.
func TestStopBeforeTheLimit(t *testing.T) {
	t.Parallel()
	b, _, e := limited(0)
	b.Stop(e, "canceled", after(2*time.Hour))
	if _, stops := b.Due(after(time.Hour)); len(stops) != 0 {
		t.Error("told to stop twice")
	}
	b.Stop(e, "sooner", after(90*time.Minute))
	b.Stop(e, "later, for the same end", after(90*time.Minute))
	doubts, _ := b.Due(after(90 * time.Minute))
	if len(doubts) != 1 || doubts[0].Why != "sooner" {
		t.Errorf("%+v", doubts)
	}
}

// Without a grace a worker that does not stop keeps its lease, as long as it is not silent.
func TestStopWithoutGrace(t *testing.T) {
	t.Parallel()
	b, j, e := limited(time.Minute)
	b.Stop(e, "it did not stop", time.Time{})
	wantNext(t, b, after(time.Minute))
	call, _ := b.Report(j, self, 0, after(9*time.Hour))
	b.Renewed(call, self, after(9*time.Hour))
	wantNext(t, b, after(9*time.Hour+time.Minute))
	doubts, _ := b.Due(after(9*time.Hour + time.Minute))
	if len(doubts) != 1 || doubts[0].Overdue {
		t.Errorf("%+v", doubts)
	}
}

// Another worker that gets the job begins anew.
func TestHoldBeginsANewRun(t *testing.T) {
	t.Parallel()
	b, j, e := limited(0)
	b.Stop(e, "it did not stop", after(time.Hour))
	j.Worker = other
	if b.Hold(j, 0, after(time.Minute)) != e {
		t.Fatal("another entry")
	}
	wantNext(t, b, after(time.Hour+time.Minute))
}

// However a lease came into the book, its run is limited from when the store says that it began.
func TestLimitOfWhatOthersHandedOut(t *testing.T) {
	t.Parallel()
	adopted, suspected := job(1, other), job(2, other)
	for _, j := range []*queue.Job{&adopted, &suspected} {
		j.RunLimit, j.StartedAt = time.Hour, after(-30*time.Minute)
	}
	b := leases.New(func(j queue.Job) time.Duration { return j.RunLimit })
	b.Suspect(suspected, "process lost", noon, noon)
	b.Due(noon)
	for _, j := range []queue.Job{adopted, suspected} {
		if _, err := b.Report(j, self, 0, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, stops := b.Due(after(30 * time.Minute)); len(stops) != 2 {
		t.Errorf("%d stops, want 2", len(stops))
	}
}
