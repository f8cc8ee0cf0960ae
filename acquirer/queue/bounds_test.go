package queue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// What is exactly as long as it may be is taken.
func TestTagsOfTheGreatestLength(t *testing.T) {
	t.Parallel()
	if _, err := queue.NewTagSet(map[string]string{"k": strings.Repeat("v", queue.MaxTagValue)}); err != nil {
		t.Error(err)
	}
	if _, err := queue.NewTagSet(map[string]string{strings.Repeat("k", queue.MaxTagKey): "v"}); err != nil {
		t.Error(err)
	}
}

// A text of several lines becomes as many lines of a log, of the same time, without the ends of lines of other systems.
func TestLinesAreSplit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	at := now.Add(-time.Second)
	r := queue.Report{Lines: []queue.Line{{At: at, Text: "one\r\ntwo\nthree"}}}
	got := r.Renewal(uuid.UUID{1}, now).Lines
	if len(got) != 3 || got[0].Text != "one" || got[1].Text != "two" || got[2].Text != "three" {
		t.Fatalf("%+v", got)
	}
	for _, line := range got {
		if !line.At.Equal(at) {
			t.Errorf("%q is of %s, want %s", line.Text, line.At, at)
		}
	}
}
