package queue_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// field is what a refusal is about; empty: nothing is refused.
func field(err error) string {
	var refused *invalid.Error
	if errors.As(err, &refused) {
		return refused.Field
	}
	return fmt.Sprint(err)
}

func TestJobQueryNormalize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		q    queue.JobQuery
		want string
	}{
		"zero":         {queue.JobQuery{}, "<nil>"},
		"largest page": {queue.JobQuery{Limit: queue.MaxPage}, "<nil>"},
		"too large":    {queue.JobQuery{Limit: queue.MaxPage + 1}, "JobQuery.Limit"},
		"negative":     {queue.JobQuery{Limit: -1}, "JobQuery.Limit"},
		"no state":     {queue.JobQuery{States: []queue.State{queue.Failed, "gone"}}, "JobQuery.States"},
	} {
		if _, err := c.q.Normalize(); field(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	zero, _ := queue.JobQuery{}.Normalize()
	if zero.Limit != 100 || len(zero.States) != 5 {
		t.Errorf("defaults: %+v", zero)
	}
	precise := noon.Add(1500 * time.Nanosecond).In(time.FixedZone("x", 3600))
	q, _ := queue.JobQuery{
		Limit: 7, States: []queue.State{queue.Running, queue.Failed, queue.Running}, From: precise, Until: precise, After: queue.JobPlace{CreatedAt: precise},
	}.Normalize()
	want := noon.Add(time.Microsecond)
	if q.Limit != 7 || !slices.Equal(q.States, []queue.State{queue.Failed, queue.Running}) || q.From != want || q.Until != want || q.After.CreatedAt != want {
		t.Errorf("normalized: %+v", q)
	}
}

func TestJobQueryBefore(t *testing.T) {
	t.Parallel()
	none := queue.JobQuery{}.Before()
	if none.CreatedAt.Year() != 9999 || none.CreatedAt.YearDay() != 1 || none.CreatedAt.Hour()+none.CreatedAt.Minute()+none.CreatedAt.Second()+none.CreatedAt.Nanosecond() != 0 {
		t.Errorf("without a bound it is %v", none)
	}
	early, late := queue.JobPlace{CreatedAt: noon, ID: uuid.UUID{1}}, queue.JobPlace{CreatedAt: noon.Add(time.Hour), ID: uuid.UUID{1}}
	for _, c := range []struct {
		q    queue.JobQuery
		want queue.JobPlace
	}{
		{queue.JobQuery{After: early}, early},
		{queue.JobQuery{Until: noon}, queue.JobPlace{CreatedAt: noon}},
		{queue.JobQuery{Until: late.CreatedAt, After: early}, early},
		{queue.JobQuery{Until: noon, After: late}, queue.JobPlace{CreatedAt: noon}},
	} {
		if got := c.q.Before(); got != c.want {
			t.Errorf("%+v: before %v, want %v", c.q, got, c.want)
		}
	}
}

func TestJobPlaceOrder(t *testing.T) {
	t.Parallel()
	a, b, c := queue.JobPlace{noon, uuid.UUID{1}}, queue.JobPlace{noon, uuid.UUID{2}}, queue.JobPlace{noon.Add(1), uuid.UUID{}}
	if a.Compare(b) >= 0 || b.Compare(c) >= 0 || c.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Error("places are not ordered by creation and id")
	}
	if a.IsZero() || !(queue.JobPlace{}).IsZero() {
		t.Error("IsZero")
	}
	j := queue.Job{ID: uuid.UUID{1}, CreatedAt: noon}
	if queue.PlaceOf(j) != a {
		t.Error("PlaceOf")
	}
}

func TestJobQuerySelects(t *testing.T) {
	t.Parallel()
	org, tenant := uuid.UUID{1}, uuid.UUID{2}
	set, err := queue.NewTagSet(map[string]string{"gpu": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	job := queue.Job{Organization: org, Tenant: tenant, Type: "build", Tags: set, State: queue.Failed, CreatedAt: noon}
	for name, c := range map[string]struct {
		change func(q *queue.JobQuery)
		want   bool
	}{
		"organization":       {func(*queue.JobQuery) {}, true},
		"other organization": {func(q *queue.JobQuery) { q.Organization = uuid.UUID{9} }, false},
		"state":              {func(q *queue.JobQuery) { q.States = []queue.State{queue.Failed} }, true},
		"other state":        {func(q *queue.JobQuery) { q.States = []queue.State{queue.Running} }, false},
		"type":               {func(q *queue.JobQuery) { q.Type = "build" }, true},
		"other type":         {func(q *queue.JobQuery) { q.Type = "scan" }, false},
		"tenant":             {func(q *queue.JobQuery) { q.Tenant = tenant }, true},
		"other tenant":       {func(q *queue.JobQuery) { q.Tenant = org }, false},
		"tag":                {func(q *queue.JobQuery) { q.Tag = queue.Tag{Key: "gpu", Value: "yes"} }, true},
		"other value":        {func(q *queue.JobQuery) { q.Tag = queue.Tag{Key: "gpu", Value: "no"} }, false},
		"other tag":          {func(q *queue.JobQuery) { q.Tag = queue.Tag{Key: "cpu"} }, false},
		"scope":              {func(q *queue.JobQuery) { q.Tag = queue.Tag{Key: "scope", Value: "organization"} }, true},
		"from then":          {func(q *queue.JobQuery) { q.From = noon }, true},
		"from later":         {func(q *queue.JobQuery) { q.From = noon.Add(1000) }, false},
		"until then":         {func(q *queue.JobQuery) { q.Until = noon }, false},
		"until later":        {func(q *queue.JobQuery) { q.Until = noon.Add(1000) }, true},
	} {
		q := queue.JobQuery{Organization: org}
		c.change(&q)
		q, err := q.Normalize()
		if got := q.Selects(job); err != nil || got != c.want {
			t.Errorf("%s: selected %v, %v", name, got, err)
		}
	}
}

// Pages put together from what was found of each state hold everything in order, once, whatever was cut.
func TestPageOf(t *testing.T) {
	t.Parallel()
	at := func(n int) queue.Job {
		return queue.Job{ID: uuid.UUID{15: byte(n)}, CreatedAt: noon.Add(time.Duration(n) * time.Second)}
	}
	jobs := func(numbers ...int) (list []queue.Job) {
		for _, n := range numbers {
			list = append(list, at(n))
		}
		return list
	}
	place := func(n int) queue.JobPlace { return queue.PlaceOf(at(n)) }
	for name, c := range map[string]struct {
		limit int
		found []queue.StateJobs
		want  []queue.Job
		next  queue.JobPlace
	}{
		"nothing":                 {3, nil, nil, queue.JobPlace{}},
		"all":                     {3, []queue.StateJobs{{Jobs: jobs(5, 1)}, {Jobs: jobs(3)}}, jobs(5, 3, 1), queue.JobPlace{}},
		"full":                    {2, []queue.StateJobs{{Jobs: jobs(5, 1)}, {Jobs: jobs(3)}}, jobs(5, 3), place(3)},
		"cut":                     {5, []queue.StateJobs{{Jobs: jobs(5, 1)}, {Jobs: jobs(9), Cut: place(4)}}, jobs(9, 5), place(4)},
		"cut at a job":            {5, []queue.StateJobs{{Jobs: jobs(5, 4), Cut: place(4)}, {Jobs: jobs(2)}}, jobs(5, 4), place(4)},
		"the later cut counts":    {5, []queue.StateJobs{{Cut: place(2)}, {Jobs: jobs(6, 3), Cut: place(3)}, {Cut: place(1)}}, jobs(6, 3), place(3)},
		"cut with nothing found":  {5, []queue.StateJobs{{Cut: place(7)}}, nil, place(7)},
		"full before it was cut":  {1, []queue.StateJobs{{Jobs: jobs(8, 7), Cut: place(2)}}, jobs(8), place(8)},
		"exactly full, and a cut": {2, []queue.StateJobs{{Jobs: jobs(8, 7), Cut: place(2)}}, jobs(8, 7), place(2)},
	} {
		page := queue.JobQuery{Limit: c.limit}.PageOf(c.found)
		if len(page.Jobs) != len(c.want) || len(c.want) > 0 && !reflect.DeepEqual(page.Jobs, c.want) || page.Next != c.next {
			t.Errorf("%s: %v, next %v", name, page.Jobs, page.Next)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	org := uuid.UUID{1}
	lane := queue.Lane{Organization: org, Type: "build"}
	for scope, want := range map[queue.Scope]bool{
		{}: true, {Organization: org}: true, {Type: "build"}: true, {Organization: org, Type: "build"}: true,
		{Organization: uuid.UUID{2}}: false, {Type: "scan"}: false, {Organization: org, Type: "scan"}: false, {Organization: uuid.UUID{2}, Type: "build"}: false,
	} {
		if scope.Concerns(lane) != want {
			t.Errorf("%+v concerns the lane: %v", scope, !want)
		}
	}
	for until, want := range map[time.Time]bool{{}: true, noon: false, noon.Add(1): true, noon.Add(-1): false} {
		if (queue.Pause{Until: until}).Holds(noon) != want {
			t.Errorf("until %v holds: %v", until, !want)
		}
	}
	p, err := queue.Pause{At: noon.Add(1500), Until: noon.Add(2500), By: strings.Repeat("x", 999), Note: strings.Repeat("y", 9999) + "\x00"}.Normalize()
	if err != nil || p.At != noon.Add(1000) || p.Until != noon.Add(2000) || len(p.By) != queue.MaxActor || len(p.Note) != queue.MaxNote {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = queue.Pause{Scope: queue.Scope{Type: "a\nb"}}.Normalize()
	if field(err) != "Pause.Type" && field(err) != "Pause.Scope.Type" {
		t.Errorf("error %v", err)
	}
	if field(queue.Scope{Type: strings.Repeat("x", queue.MaxTypeBytes+1)}.Validate()) != "Scope.Type" || (queue.Scope{Type: "x"}).Validate() != nil {
		t.Error("Scope.Validate")
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	job := queue.Job{Round: 2, Attempt: 3, StartedAt: noon, Process: uuid.UUID{1}, Worker: uuid.UUID{2}}
	got := queue.AttemptOf(job, queue.End{Outcome: queue.OutcomeFailed, Error: strings.Repeat("x", 9999)}, noon.Add(1))
	want := queue.Attempt{
		Round: 2, Attempt: 3, Outcome: queue.OutcomeFailed, StartedAt: noon, EndedAt: noon.Add(1), Error: got.Error, Process: uuid.UUID{1}, Worker: uuid.UUID{2},
	}
	if got != want || len(got.Error) != queue.MaxAttemptError {
		t.Errorf("%+v", got)
	}
	r := queue.Retry{Now: noon, By: strings.Repeat("x", 999), Note: strings.Repeat("y", 9999)}.Clean()
	if len(r.By) != queue.MaxActor || len(r.Note) != queue.MaxNote {
		t.Errorf("%d, %d bytes", len(r.By), len(r.Note))
	}
	if got, want := queue.RetryOf(job, r), (queue.Attempt{Round: 2, Outcome: queue.OutcomeRetried, StartedAt: noon, EndedAt: noon, Error: r.Note, By: r.By}); got != want {
		t.Errorf("%+v", got)
	}
	var history []queue.Attempt
	for i := range queue.MaxHistory + 3 {
		before := slices.Clone(history)
		longer := queue.AddAttempt(history, queue.Attempt{Attempt: i})
		if !slices.Equal(history, before) {
			t.Fatal("the history was changed")
		}
		if n := min(i+1, queue.MaxHistory); len(longer) != n || longer[n-1].Attempt != i || longer[0].Attempt != i+1-n {
			t.Fatalf("after %d: %d from %d", i, len(longer), longer[0].Attempt)
		}
		history = longer
	}
	for outcome, want := range map[queue.Outcome]bool{
		queue.OutcomeSucceeded: false, queue.OutcomeReleased: false, queue.OutcomeFailed: true, queue.OutcomeCanceled: true, queue.OutcomeRequeued: true,
	} {
		if (queue.End{Outcome: outcome}).Recorded() != want {
			t.Errorf("%s is recorded: %v", outcome, !want)
		}
	}
}

func TestAdmitLines(t *testing.T) {
	t.Parallel()
	line := func(texts ...string) (lines []queue.Line) {
		for _, text := range texts {
			lines = append(lines, queue.Line{At: noon, Text: text})
		}
		return lines
	}
	one := queue.LogSize("x")
	if one <= 1 || queue.LogSize("xyz") != one+2 {
		t.Fatalf("a line of one byte counts %d, one of three %d", one, queue.LogSize("xyz"))
	}
	for name, c := range map[string]struct {
		size, bound int64
		lines       []queue.Line
		admitted    int
		ends        bool
		after       int64
	}{
		"nothing":           {5, 9, nil, 0, false, 5},
		"room":              {0, 2 * one, line("a", "b"), 2, false, 2 * one},
		"room to the byte":  {one, 2 * one, line("a"), 1, false, 2 * one},
		"one too many":      {0, 2 * one, line("a", "b", "c", ""), 2, true, 4*one - 1},
		"a byte too many":   {0, 2*one - 1, line("a", "b"), 1, true, 2 * one},
		"at its bound":      {one, one, line("a"), 0, true, 2 * one},
		"over":              {one + 1, one, line("a"), 0, false, one + 1},
		"no bound":          {1 << 60, 0, line("a"), 1, false, 1<<60 + one},
		"nothing, at bound": {one, one, nil, 0, false, one},
	} {
		r := queue.Renewal{Lines: c.lines, MaxLog: c.bound}
		got, after := queue.AdmitLines(c.size, r, noon.Add(time.Second))
		n := len(got)
		if c.ends {
			n--
		}
		if n != c.admitted || after != c.after {
			t.Errorf("%s: %d lines, size %d", name, len(got), after)
			continue
		}
		if n > 0 && !reflect.DeepEqual(got[:n], c.lines[:n]) {
			t.Errorf("%s: %+v", name, got)
		}
		if c.ends && (got[n].Text != r.LogEnd() || !got[n].At.Equal(noon.Add(time.Second)) || !strings.Contains(got[n].Text, fmt.Sprint(c.bound))) {
			t.Errorf("%s: ends with %+v", name, got[n])
		}
	}
	if (queue.Renewal{MaxLog: -1}).LogBound() < 1<<62 || (queue.Renewal{MaxLog: 1}).LogBound() != 1 {
		t.Error("LogBound")
	}
}
