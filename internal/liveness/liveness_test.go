package liveness_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/liveness"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestSilence(t *testing.T) {
	t.Parallel()
	var w liveness.Watch[string]
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	want := func(id string, now int, seconds int, registered bool) {
		t.Helper()
		if got, known := w.Silence(id, at(now)); known != registered || got != time.Duration(seconds)*time.Second {
			t.Errorf("%s at %d: silent for %s, registered %v; want %d s, %v", id, now, got, known, seconds, registered)
		}
	}
	want("a", 0, 0, false)
	w.Update([]liveness.Beat[string]{{"a", 5}, {"b", 9}}, at(0))
	want("a", 7, 7, true) // whatever its count is: we have only just begun to look
	w.Update([]liveness.Beat[string]{{"a", 6}, {"b", 9}, {"c", 1}}, at(10))
	want("a", 12, 2, true)
	want("b", 12, 12, true)
	want("c", 12, 2, true)
	w.Update([]liveness.Beat[string]{{"a", 4}, {"c", 1}}, at(20)) // a count that falls is another one
	want("a", 25, 5, true)
	want("b", 25, 0, false)
	want("c", 25, 15, true)
	w.Update([]liveness.Beat[string]{{"b", 9}}, at(30))
	want("b", 31, 1, true) // it was away, and begins anew
	want("c", 31, 0, false)
	for id := range w.All {
		if id != "b" {
			t.Errorf("%s is registered", id)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	notes := map[string][]byte{"a": []byte("1"), "b": []byte("a later version's"), "c": []byte("3"), "d": nil}
	got, unreadable := liveness.ReadNotes(notes, func(text []byte) (int, error) { return strconv.Atoi(string(text)) })
	if len(got) != 4 || got["a"] != 1 || got["b"] != 0 || got["c"] != 3 || unreadable != 2 {
		t.Errorf("%v, %d unreadable", got, unreadable)
	}
}
