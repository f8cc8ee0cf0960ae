package leases_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// A lost process's job is in doubt, unless its worker was heard since somebody asked what the process holds, is being heard
// now, or is in doubt already.
func TestWhoIsSuspected(t *testing.T) {
	t.Parallel()
	asked := after(time.Minute)
	for name, c := range map[string]struct {
		before func(b *leases.Book, j queue.Job)
		state  leases.State
		due    int
		enters bool
	}{
		"unknown":         {func(*leases.Book, queue.Job) {}, leases.Doubtful, 1, true},
		"quiet":           {func(b *leases.Book, j queue.Job) { b.Hold(j, 0, noon) }, leases.Doubtful, 1, false},
		"quiet just then": {func(b *leases.Book, j queue.Job) { b.Hold(j, 0, asked.Add(-1)) }, leases.Doubtful, 1, false},
		"heard just then": {func(b *leases.Book, j queue.Job) { b.Hold(j, 0, asked) }, leases.Held, 0, false},
		"being heard": {func(b *leases.Book, j queue.Job) {
			b.Hold(j, 0, noon)
			_, _ = b.Report(j, other, 0, noon)
		}, leases.Held, 0, false},
		"judged": {func(b *leases.Book, j queue.Job) { b.Return(j) }, leases.Judged, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, j := leases.New(nil), job(1, other)
			c.before(b, j)
			if entered := b.Suspect(j, "process lost", asked, asked); entered != c.enters {
				t.Errorf("entered: %v", entered)
			}
			if got := b.Find(j.Lease()).State(); got != c.state {
				t.Errorf("state %v, want %v", got, c.state)
			}
			if due, _ := b.Due(asked); len(due) != c.due || c.due == 1 && (!due[0].Handed || due[0].Why != "process lost") {
				t.Errorf("due %+v", due)
			}
			if n := b.Len(other); n != 1 {
				t.Errorf("%d leases", n)
			}
		})
	}
}

// A job that was given to a worker who had left already is given back like one that nobody got, and may be given to another.
func TestReturnAndHoldAgain(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, self)
	b.Hold(j, time.Minute, noon)
	d := b.Return(j)
	if d.Handed || !d.Seen || d.Why == "" || b.Find(j.Lease()).State() != leases.Judged {
		t.Errorf("%+v", d)
	}
	if _, ok := b.Next(); ok {
		t.Error("something is planned for a job that is being given back")
	}
	b.Hold(j, time.Minute, noon)
	if b.Find(j.Lease()).State() != leases.Held || b.Judge(d) != nil {
		t.Error("the job is not the new worker's")
	}
	if at, ok := b.Next(); !ok || !at.Equal(after(time.Minute)) {
		t.Errorf("silent at %v, %v", at, ok)
	}
}

// What has left the book has no instant in it any more, and does not count.
func TestWhatLeftIsGone(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(b *leases.Book, j queue.Job) *leases.Entry{
		"over": func(b *leases.Book, j queue.Job) *leases.Entry {
			call, _ := b.End(j.Lease(), noon)
			return b.Over(call)
		},
		"judged": func(b *leases.Book, j queue.Job) *leases.Entry {
			b.Suspect(j, "process lost", after(time.Second), noon)
			doubts, _ := b.Due(noon)
			b.Judge(doubts[0])
			return b.Judged(doubts[0])
		},
		"dropped": func(b *leases.Book, _ queue.Job) *leases.Entry { return b.Drop(self)[0] },
		"not named": func(b *leases.Book, _ queue.Job) *leases.Entry {
			_, gone := b.Compare(self, nil, after(time.Second), after(time.Second))
			return gone[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, j := leases.New(nil), job(1, self)
			e := b.Hold(j, time.Minute, noon)
			if leave(b, j) != e {
				t.Error("another entry has left")
			}
			if _, ok := b.Next(); ok || b.Len(self) != 0 || b.Find(j.Lease()) != nil {
				t.Errorf("planned %v, %d leases", ok, b.Len(self))
			}
			for range b.All {
				t.Error("there is an entry")
			}
		})
	}
}

// A lease counts for the process that took it over.
func TestLeaseMoves(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, other)
	b.Suspect(j, "process lost", noon, noon)
	call, err := b.Report(j, self, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	e := b.Renewed(call, self, after(time.Second))
	if e == nil || b.Len(self) != 1 || b.Len(other) != 0 || !e.HeardAt().Equal(after(time.Second)) {
		t.Errorf("%d and %d leases, heard %v", b.Len(self), b.Len(other), e.HeardAt())
	}
	if gone := b.Drop(other); len(gone) != 0 {
		t.Error("it is gone with the process before")
	}
}

// A comparison gives back what a late claim got, puts in doubt what nobody was given, and leaves alone what is being claimed.
func TestCompareStrays(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	late, open, nobody := job(1, self), job(2, self), job(3, self)
	late.Token, open.Token, nobody.Token = uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	b.Open(late.Token)
	b.Open(open.Token)
	b.CloseLate(late.Token, noon)
	strays, gone := b.Compare(self, []queue.Job{late, open, nobody}, after(time.Second), after(time.Second))
	if len(gone) != 0 || len(strays) != 1 || strays[0].Lease != late.Lease() || strays[0].Handed {
		t.Errorf("strays %+v, gone %v", strays, gone)
	}
	due, _ := b.Due(after(time.Second))
	if len(due) != 1 || due[0].Lease != nobody.Lease() || !due[0].Handed || b.Find(open.Lease()) != nil {
		t.Errorf("due %+v", due)
	}
	b.Close(open.Token)
	b.Compare(self, []queue.Job{open}, after(2*time.Second), after(2*time.Second))
	if b.Find(open.Lease()) == nil {
		t.Error("a job whose claim is over, and that nobody has, is not noticed")
	}
	// A late claim is remembered for an hour.
	again := job(4, self)
	again.Token = late.Token
	b.Compare(self, nil, after(time.Hour+time.Second), after(time.Hour+time.Second))
	strays, _ = b.Compare(self, []queue.Job{again}, after(time.Hour+2*time.Second), after(time.Hour+2*time.Second))
	if len(strays) != 0 {
		t.Errorf("remembered for ever: %+v", strays)
	}
}

// Looking a doubted job up settles doubts that have become pointless.
func TestSee(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(j *queue.Job)
		stands bool
	}{
		"as it was":        {func(*queue.Job) {}, true},
		"ours now":         {func(j *queue.Job) { j.Process = self }, true},
		"over":             {func(j *queue.Job) { j.State = queue.Failed }, false},
		"claimed again":    {func(j *queue.Job) { j.Fence++ }, false},
		"another's":        {func(j *queue.Job) { j.Process = uuid.UUID{9} }, false},
		"not there at all": {func(j *queue.Job) { *j = queue.Job{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, j := leases.New(nil), job(1, other)
			b.Suspect(j, "process lost", noon, noon)
			doubts, _ := b.Due(noon)
			b.Postpone(doubts[0], after(time.Second))
			if early, _ := b.Due(after(time.Second - 1)); len(early) != 0 {
				t.Fatal("asked again too early")
			}
			again, _ := b.Due(after(time.Second))
			if len(again) != 1 || again[0].Seen {
				t.Fatalf("%+v: must be looked up again", again)
			}
			found := j
			c.change(&found)
			d, ok := b.See(again[0], found, self)
			if ok != c.stands || ok && (!d.Seen || d.Job.Process != found.Process) {
				t.Errorf("stands: %v, %+v", ok, d)
			}
			if (b.Find(j.Lease()) != nil) != c.stands {
				t.Error("the lease is in the book, or is not, against what was seen")
			}
			if _, ok := b.See(doubts[0], found, self); ok != c.stands {
				t.Error("the same doubt, seen twice, came out otherwise")
			}
		})
	}
}

// An end that is given up puts a job in doubt whose worker does not report; one that reports is only silent, or comes back.
func TestEndGivenUp(t *testing.T) {
	t.Parallel()
	for _, silence := range []time.Duration{0, time.Minute} {
		b, j := leases.New(nil), job(1, self)
		e := b.Hold(j, silence, noon)
		call, _ := b.End(j.Lease(), noon)
		b.GiveUp(call, "its end could not be stored", after(time.Second))
		due, _ := b.Due(after(time.Second))
		switch {
		case silence == 0 && (len(due) != 1 || due[0].Seen || due[0].Why != "its end could not be stored"):
			t.Errorf("due %+v", due)
		case silence > 0 && (len(due) != 0 || e.State() != leases.Held):
			t.Errorf("due %+v, state %v", due, e.State())
		}
	}
	b, j := leases.New(nil), job(1, self)
	b.Hold(j, 0, noon)
	first, _ := b.End(j.Lease(), noon)
	second, _ := b.End(j.Lease(), noon)
	b.GiveUp(first, "given up", noon)
	if due, _ := b.Due(noon); len(due) != 0 {
		t.Error("in doubt while another end is under way")
	}
	if b.Over(second) == nil || b.Over(first) != nil {
		t.Error("the second end is not what ends it")
	}
	if _, err := b.End(j.Lease(), noon); err != nil {
		t.Errorf("an end of what is not in the book: %v", err)
	}
}

// A report that brought a lease here and had no effect leaves nothing behind; others leave what was there.
func TestReportRefused(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, other)
	call, _ := b.Report(j, self, time.Minute, noon)
	b.Refused(call, noon)
	if b.Find(j.Lease()) != nil {
		t.Error("the lease is in the book")
	}
	b.Hold(j, time.Minute, noon)
	call, _ = b.Report(j, self, 0, noon)
	b.Refused(call, after(time.Second))
	if at, ok := b.Next(); !ok || !at.Equal(after(time.Second+time.Minute)) {
		t.Errorf("silent at %v, %v", at, ok)
	}
	first, _ := b.Report(job(2, other), self, 0, noon)
	second, _ := b.Report(job(2, other), self, 0, noon)
	b.Refused(first, noon)
	if b.Find(job(2, other).Lease()) == nil {
		t.Error("gone while another report is under way")
	}
	b.Unknown(second, noon)
	b.Drop(self)
	if b.Renewed(second, self, noon) != nil || b.Over(second) != nil {
		t.Error("an answer that comes late brings it back")
	}
}
