package leases_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/leases"
)

// Workers fall silent in the order of their last words, whatever the order in which they came and spoke.
func TestSilentInOrder(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	silent := map[byte]time.Duration{ // in seconds
		1: 50, 2: 10, 3: 40, 4: 20, 5: 30, 6: 60, 7: 15,
	}
	for n := byte(1); n <= 7; n++ {
		b.Hold(job(n, self), silent[n]*time.Second, noon)
	}
	for n, spoke := range map[byte]time.Duration{2: 25, 3: 1, 6: 7} {
		call, err := b.Report(job(n, self), self, 0, after(spoke*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		b.Renewed(call, self, after(spoke*time.Second))
		silent[n] += spoke
	}
	for at := time.Second; at <= 70*time.Second; at += time.Second {
		doubts, stops := b.Due(after(at))
		for _, d := range doubts {
			n := d.Lease.Job[15]
			if silent[n]*time.Second != at {
				t.Errorf("%d is silent after %s, want after %s", n, at, silent[n]*time.Second)
			}
			delete(silent, n)
		}
		if len(stops) != 0 {
			t.Errorf("told to stop without a limit: %v", stops)
		}
	}
	if len(silent) != 0 {
		t.Errorf("never silent: %v", silent)
	}
}

// The earlier of silence and limit comes first; the shortest of either is one.
func TestWhatComesFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ silence, limit, next time.Duration }{
		"silence first": {time.Minute, time.Hour, time.Minute},
		"limit first":   {time.Hour, time.Minute, time.Minute},
		"no limit":      {1, 0, 1},
		"no silence":    {0, 1, 1},
	} {
		b := leases.New(func(queue.Job) time.Duration { return c.limit })
		e := b.Hold(job(1, self), c.silence, noon)
		if at, ok := b.Next(); !ok || !at.Equal(after(c.next)) {
			t.Errorf("%s: next at %v", name, at)
		}
		if c.limit == 0 != e.LimitAt().IsZero() {
			t.Errorf("%s: limit at %v", name, e.LimitAt())
		}
	}
	b := leases.New(nil)
	b.Hold(job(1, self), time.Hour, noon)
	call, _ := b.Report(job(1, self), self, 1, noon)
	b.Renewed(call, self, noon)
	wantNext(t, b, noon.Add(1))
}

// Who is silent before the grace is over was not given up for it; and a second word to stop without a grace changes nothing.
func TestSilentBeforeTheGraceIsOver(t *testing.T) {
	t.Parallel()
	b, _, e := limited(time.Minute)
	b.Stop(e, "it did not stop", after(2*time.Minute))
	b.Stop(e, "for ever", time.Time{})
	doubts, _ := b.Due(after(time.Minute))
	if len(doubts) != 1 || doubts[0].Overdue || doubts[0].Why == "it did not stop" {
		t.Errorf("%+v", doubts)
	}
	b, j, e := limited(time.Minute)
	b.Stop(e, "it did not stop", after(30*time.Second))
	b.Stop(e, "for ever", time.Time{})
	if doubts, _ := b.Due(after(30 * time.Second)); len(doubts) != 1 || !doubts[0].Overdue || doubts[0].Lease != j.Lease() {
		t.Errorf("%+v", doubts)
	}
}

// Who is told to stop last may have to have stopped first.
func TestGracesInOrder(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	for n, silence := range []time.Duration{10, 20, 30} {
		b.Hold(job(byte(n+1), self), silence*time.Second, noon)
	}
	b.Stop(b.Find(job(3, self).Lease()), "it did not stop", after(5*time.Second))
	wantNext(t, b, after(5*time.Second))
	if doubts, _ := b.Due(after(5 * time.Second)); len(doubts) != 1 || doubts[0].Lease != job(3, self).Lease() {
		t.Errorf("%+v", doubts)
	}
}

// The limit of an attempt whose begin nobody knows cannot have come.
func TestLimitWithoutABegin(t *testing.T) {
	t.Parallel()
	b, j := leases.New(func(queue.Job) time.Duration { return time.Hour }), job(1, other)
	b.Suspect(j, "process lost", noon, noon)
	if at := b.Find(j.Lease()).LimitAt(); !at.IsZero() {
		t.Errorf("limit at %v", at)
	}
}

// What a claim whose answer was lost may still bring is given back for an hour, and looked at by a policy after it.
func TestLateClaimsAreForgotten(t *testing.T) {
	t.Parallel()
	for later, given := range map[time.Duration]bool{time.Hour: true, time.Hour + 1: false} {
		b, j := leases.New(nil), job(1, self)
		j.Token = uuid.UUID{9}
		b.Open(j.Token)
		b.CloseLate(j.Token, noon)
		b.Compare(self, nil, after(later), after(later))
		strays, _ := b.Compare(self, []queue.Job{j}, after(later), after(later))
		doubts, _ := b.Due(after(later))
		if (len(strays) == 1) != given || (len(doubts) == 1) == given {
			t.Errorf("after %s: %d strays, %d doubts", later, len(strays), len(doubts))
		}
	}
}

// A lease heard of in the very moment of the question is not over because the answer does not name it.
func TestHeardWhenAsked(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	b.Hold(job(1, self), 0, noon)
	if _, gone := b.Compare(self, nil, noon, noon); len(gone) != 0 {
		t.Error("gone")
	}
	if _, gone := b.Compare(self, nil, noon.Add(1), noon.Add(1)); len(gone) != 1 {
		t.Error("not gone")
	}
}

// What came by reports that all were refused was never named by the store, and is looked up first.
func TestRefusedTwice(t *testing.T) {
	t.Parallel()
	b, j := leases.New(nil), job(1, other)
	first, _ := b.Report(j, self, time.Minute, noon)
	second, _ := b.Report(j, self, time.Minute, noon)
	b.Refused(first, noon)
	b.Refused(second, noon)
	if doubts, _ := b.Due(after(time.Minute)); len(doubts) != 1 || doubts[0].Seen {
		t.Errorf("%+v", doubts)
	}
}

// An end of what the book does not know, or not any more, leaves nothing in it.
func TestEndOfNothing(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	call, err := b.End(job(1, self).Lease(), noon)
	if err != nil || b.Over(call) != nil {
		t.Errorf("%v", err)
	}
	b.Unknown(call, noon)
	b.GiveUp(call, "given up", noon)
	b.Hold(job(2, self), 0, noon)
	call, _ = b.End(job(2, self).Lease(), noon)
	b.Drop(self)
	b.GiveUp(call, "given up", noon)
	wantNext(t, b, time.Time{})
}

func TestAllStops(t *testing.T) {
	t.Parallel()
	b := leases.New(nil)
	b.Hold(job(1, self), 0, noon)
	b.Hold(job(2, self), 0, noon)
	n := 0
	for range b.All {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d entries", n)
	}
}

// A worker whose job was handed out elsewhere may be silent for as long as the book says, unless it says it itself; with one
// that was handed its job here it was agreed on.
func TestSilenceOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(b *leases.Book, j queue.Job)
		said   time.Duration
		want   time.Duration
	}{
		"unknown":                {func(*leases.Book, queue.Job) {}, 0, time.Hour},
		"of a lost process":      {func(b *leases.Book, j queue.Job) { b.Suspect(j, "process lost", noon, noon) }, 0, time.Hour},
		"on its way back":        {func(b *leases.Book, j queue.Job) { b.Postpone(b.Return(j), noon) }, 0, time.Hour},
		"says it":                {func(b *leases.Book, j queue.Job) { b.Suspect(j, "process lost", noon, noon) }, time.Minute, time.Minute},
		"agreed":                 {func(b *leases.Book, j queue.Job) { b.Hold(j, time.Minute, noon) }, 0, time.Minute},
		"lives with us":          {func(b *leases.Book, j queue.Job) { b.Hold(j, 0, noon) }, 0, 0},
		"lives with us, says it": {func(b *leases.Book, j queue.Job) { b.Hold(j, 0, noon) }, time.Minute, time.Minute},
	} {
		b, j := leases.New(nil), job(1, other)
		b.Silence = time.Hour
		c.before(b, j)
		call, err := b.Report(j, self, c.said, noon)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b.Renewed(call, self, noon)
		call, _ = b.Report(j, self, 0, noon) // keeps it
		b.Renewed(call, self, noon)
		if at, ok := b.Next(); ok != (c.want > 0) || ok && !at.Equal(after(c.want)) {
			t.Errorf("%s: silent at %v, %v; want after %s", name, at, ok, c.want)
		}
	}
}
