package refusal_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/store/refusal"
)

// A row is passed over for a minute, by those who look at its organization or at all, and no more rows than a bound are.
func TestRows(t *testing.T) {
	var p refusal.Rows[int]
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	mine, theirs := uuid.New(), uuid.New()
	at := func(after time.Duration, organization *uuid.UUID, want ...int) {
		t.Helper()
		got := p.At(now.Add(after), organization)
		slices.Sort(got)
		if got == nil || !slices.Equal(got, want) {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	at(0, nil)
	p.Add(now, 1, mine)
	p.Add(now.Add(time.Second), 2, theirs)
	at(59*time.Second, nil, 1, 2)
	at(59*time.Second, &mine, 1)
	at(time.Minute, nil, 2)
	at(time.Minute, &mine)
	at(61*time.Second, nil)
	for k := range refusal.Max + 5 {
		p.Add(now, k, mine)
	}
	if n := len(p.At(now, nil)); n != refusal.Max {
		t.Errorf("%d rows are passed over, want %d", n, refusal.Max)
	}
}

// A warning counts all rows and names the first; of none there is none.
func TestTally(t *testing.T) {
	var log bytes.Buffer
	var tally refusal.Tally
	logger := slog.New(slog.NewTextHandler(&log, nil))
	tally.Warn(t.Context(), logger, "cannot be done", "row")
	if log.Len() > 0 {
		t.Errorf("without rows: %s", &log)
	}
	tally.Add(7, errors.New("kept"))
	tally.Add(8, errors.New("held"))
	tally.Warn(t.Context(), logger, "cannot be done", "row")
	if got := log.String(); tally.N != 2 || !strings.Contains(got, `msg="cannot be done" what=row rows=2 first="7: kept"`) {
		t.Errorf("%d rows: %s", tally.N, got)
	}
}

// A row is to blame whose asker got another one. Where nobody got any, who asked may be.
func TestTries(t *testing.T) {
	var tries refusal.Tries[int]
	got := map[int]bool{}
	asker := func(i int) bool { return got[i] }
	if blamed, refused, err := tries.Conclude("row", asker, 3); blamed != nil || refused.N != 0 || err != nil {
		t.Errorf("without tries: %v, %v, %v", blamed, refused, err)
	}
	kept, held := errors.New("kept"), errors.New("held")
	tries.Add(7, 0, kept)
	tries.Add(8, 2, held)
	if blamed, _, err := tries.Conclude("row", asker, 3); blamed != nil || !errors.Is(err, kept) || err.Error() != "row 7: kept" {
		t.Errorf("nobody got any: %v, %v", blamed, err)
	}
	got[1] = true
	if blamed, refused, err := tries.Conclude("row", asker, 3); blamed != nil || refused.N != 2 || err != nil {
		t.Errorf("another got one: %v, %v, %v", blamed, refused, err)
	}
	got[2] = true
	if blamed, refused, err := tries.Conclude("row", asker, 3); !slices.Equal(blamed, []int{8}) || refused.N != 2 || err != nil {
		t.Errorf("who was refused one got another: %v, %v, %v", blamed, refused, err)
	}
	for i := tries.Len(); i < refusal.MaxTried; i++ {
		if tries.Full() {
			t.Errorf("full with %d", i)
		}
		tries.Add(i, 0, kept)
	}
	if !tries.Full() {
		t.Error("not full at the bound")
	}
}
