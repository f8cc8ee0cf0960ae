package queue_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

func TestCleanText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"clean":              {"no disk\r\nleft", "no disk left"},
		"zero bytes":         {"a\x00b\x00", "a\uFFFDb\uFFFD"},
		"not UTF-8":          {"a\xff\xfeb", "a\uFFFDb"},
		"as long as it may":  {strings.Repeat("x", 16), strings.Repeat("x", 16)},
		"too long":           {strings.Repeat("x", 17), strings.Repeat("x", 13) + "..."},
		"between characters": {strings.Repeat("ü", 9), strings.Repeat("ü", 6) + "..."},
		"grows when cleaned": {strings.Repeat("\xffa", 9), "\uFFFDa\uFFFDa\uFFFDa..."},
	} {
		if got := queue.CleanText(test.text, 16); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("plain", uint8(10))
	f.Add("ü\xff\x00", uint8(3))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		limit := max(int(n), 3)
		got := queue.CleanText(text, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%q of %q: %d bytes of %d", got, text, len(got), limit)
		}
		if again := queue.CleanText(got, limit); again != got {
			t.Errorf("%q cleaned again is %q", got, again)
		}
	})
}

// A posting's lane is that of its job, and where it makes none, the error is the same.
func TestPostingsHaveTheLanesOfTheirJobs(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]queue.Posting{
		"plain":        {Organization: uuid.UUID{1}, Tenant: uuid.UUID{2}, Type: "build"},
		"all there is": {Organization: uuid.UUID{1}, Type: "build", Tags: map[string]string{"b": "2", "a": "1"}, Priority: -3, NotBefore: time.Now()},
		"no type":      {},
		"a bad tag":    {Type: "build", Tags: map[string]string{"a": "\n"}},
	} {
		lane, err := p.Lane()
		job, wrong := p.Job(time.Time{})
		if !reflect.DeepEqual(err, wrong) || !reflect.DeepEqual(p.Validate(), wrong) {
			t.Errorf("%s: errors %v and %v, want %v", name, err, p.Validate(), wrong)
		}
		want := queue.Lane{}
		if wrong == nil {
			want = job.Lane()
		}
		if lane != want {
			t.Errorf("%s: lane %+v, want %+v", name, lane, want)
		}
	}
}

// A job is ready when its posting says, to the microsecond.
func TestPostingsAreReadyWithTheirJobs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 1, 0, 0, 1500, time.UTC)
	for before, want := range map[time.Duration]time.Duration{-time.Hour: 1000, -1: 1000, 499: 1000, 500: 2000, time.Hour: time.Hour + 1000} {
		p := queue.Posting{Type: "build", NotBefore: now.Add(before)}
		job, err := p.Job(now)
		if err != nil {
			t.Fatal(err)
		}
		if ready := p.ReadyAt(now); !ready.Equal(now.Add(want-1500)) || !job.ReadyAt.Equal(ready) {
			t.Errorf("%s from now: ready at %s, the job at %s", before, ready, job.ReadyAt)
		}
	}
	if ready := (queue.Posting{}).ReadyAt(now); !ready.Equal(now.Add(-500)) {
		t.Errorf("at once: ready at %s", ready)
	}
}

func TestRefusalsNameFieldsAsInGo(t *testing.T) {
	t.Parallel()
	request := func(r queue.Request) error { _, err := r.Domain(); return err }
	build := []string{"build"}
	for want, err := range map[string]error{
		"Request.Types":           request(queue.Request{}),
		"Request.Tags[scope]":     request(queue.Request{Types: build, Tags: map[string]string{"scope": "world"}}),
		"Request.Silence":         request(queue.Request{Types: build, Silence: -1}),
		"Posting.Type":            queue.Posting{Type: "\x00"}.Validate(),
		"Posting.Tags[a]":         queue.Posting{Type: "build", Tags: map[string]string{"a": "\n"}}.Validate(),
		"Posting.Weight":          queue.Posting{Type: "build", Weight: -1}.Validate(),
		"Posting.Payload":         queue.Posting{Type: "build", Payload: make([]byte, queue.MaxPayload+1)}.Validate(),
		"Posting.Trace":           queue.Posting{Type: "build", Trace: "\n"}.Validate(),
		"End.Outcome":             queue.End{}.Validate(),
		"End.Result":              queue.End{Outcome: queue.OutcomeFailed, Result: make([]byte, queue.MaxResult+1)}.Validate(),
		"End.Delay":               queue.End{Outcome: queue.OutcomeRequeued, Delay: -1}.Validate(),
		"Report.Progress.Percent": queue.Report{Progress: &queue.Progress{Percent: 101}}.Validate(),
		"Report.Silence":          queue.Report{Silence: -1}.Validate(),
		"Limits.Types[build]":     queue.Limits{Types: map[string]int{"build": -1}}.Validate(),
		"Limits.Classes[0].Max":   queue.Limits{Classes: []queue.Class{{}}}.Validate(),
	} {
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != want {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 1, 0, 0, 1500, time.FixedZone("X", 3600))
	e := queue.End{Outcome: queue.OutcomeRequeued, Error: "a\x00", Delay: time.Second, ReadyAt: now}.Normalize(now)
	if want := time.Date(2026, 3, 29, 0, 0, 1, 1000, time.UTC); e.ReadyAt != want || e.Delay != 0 || e.Error != "a\uFFFD" {
		t.Errorf("%+v, want ReadyAt %s", e, want)
	}
	if e := (queue.End{Outcome: queue.OutcomeFailed}).Normalize(now); !e.ReadyAt.IsZero() {
		t.Errorf("ReadyAt %s out of nothing", e.ReadyAt)
	}
	process := uuid.New()
	r := queue.Report{
		Handout:  queue.Handout{Lease: queue.Lease{Job: uuid.New(), Fence: 3}, Worker: uuid.New(), Secret: queue.NewSecret()},
		Progress: &queue.Progress{Percent: 5, Message: "\xff"},
		Lines:    []queue.Line{{Text: "x\x00"}, {At: now.Add(time.Hour), Text: "y"}},
	}
	at := time.Date(2026, 3, 29, 0, 0, 0, 1000, time.UTC)
	want := queue.Renewal{
		Handout: r.Handout, Process: process, Progress: &queue.Progress{Percent: 5, Message: "\uFFFD"},
		Lines: []queue.Line{{At: at, Text: "x\uFFFD"}, {At: at, Text: "y"}}, // no later than it is
	}
	if got := r.Renewal(process, now); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A worker of another type is further away than any of the right one, and both reasons are given.
func TestDomainMismatch(t *testing.T) {
	t.Parallel()
	domain := func(typ string, tags map[string]string) queue.Domain {
		d, err := queue.NewDomain(uuid.Nil, []string{typ}, tags)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	gpu := map[string]string{"gpu": "yes", "zone": "eu"}
	lane := queue.Lane{Type: "build", Tags: set(t, gpu)}
	right, wrongTags, wrongType := domain("build", gpu).Mismatch(lane), domain("build", nil).Mismatch(lane), domain("scan", gpu).Mismatch(lane)
	if !right.None() || right.Distance() != 0 || wrongTags.Distance() != 2 || wrongType.Distance() <= wrongTags.Distance() || wrongType.None() {
		t.Errorf("distances %d, %d, %d", right.Distance(), wrongTags.Distance(), wrongType.Distance())
	}
	if got, want := domain("scan", nil).Mismatch(lane).String(), `runs jobs of other types, ["scan"]; lacks gpu=yes; lacks zone=eu`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := domain("build", gpu).Mismatch(queue.Lane{Type: "build", Tags: set(t, nil)}).String(), "is kept for jobs with tags"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A remote worker's requests, reports and ends survive JSON, and so do the jobs it gets.
func TestValuesSurviveJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 29, 1, 0, 0, 1000, time.UTC)
	for _, value := range []any{
		queue.Request{Organization: uuid.New(), Worker: uuid.New(), Types: []string{"a"}, Tags: map[string]string{"x": "1"}, Silence: time.Second},
		queue.Report{Handout: queue.Handout{Lease: queue.Lease{Job: uuid.New(), Fence: 1 << 60}, Secret: queue.NewSecret(), Organization: uuid.New(), Worker: uuid.New()}, Progress: &queue.Progress{Percent: 1}, Lines: []queue.Line{{At: at, Text: "<&>"}}},
		queue.End{Handout: queue.Handout{Lease: queue.Lease{Job: uuid.New(), Fence: 2}, Secret: queue.NewSecret()}, Outcome: queue.OutcomeFailed, Error: "x", Result: []byte{0, 1}, ReadyAt: at, Delay: time.Minute},
		queue.Job{ID: uuid.New(), Type: "a", Tags: set(t, map[string]string{"x": "1"}), Payload: []byte{255}, CreatedAt: at, State: queue.Running, Fence: 1 << 60, Secret: queue.NewSecret()},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(value))
		if err := json.Unmarshal(text, back.Interface()); err != nil {
			t.Fatal(err)
		}
		if got := back.Elem().Interface(); !reflect.DeepEqual(got, value) {
			t.Errorf("got  %+v\nwant %+v", got, value)
		}
	}
}
