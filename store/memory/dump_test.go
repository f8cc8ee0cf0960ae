package memory_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// lived is a store after some life: a running workspace, one with a history, events, jobs in several states.
func lived(t *testing.T) (*memory.Store, []uuid.UUID) {
	t.Helper()
	s, ctx := memory.New(), t.Context()
	dates, err := schedule.ParseDates("Europe/Berlin 2026-12-24..2026-12-26")
	must(t, err)
	tm := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New()}
	tm.Policy = lifecycle.Policy{AllowUserAutostart: true, AutostartDays: schedule.AllDays, Holidays: dates, TimeTilDormant: 24 * time.Hour}
	quiet, err := schedule.Daily("CRON_TZ=Asia/Kolkata 0 3 * * *")
	must(t, err)
	o := lifecycle.Owner{ID: uuid.New(), Name: "ann", QuietHours: quiet}
	must(t, s.PutTemplate(ctx, monday, tm))
	must(t, s.PutOwner(ctx, monday, o))
	cron, err := schedule.Weekly("CRON_TZ=Europe/Berlin 30 9 * * 1-5")
	must(t, err)
	var ids []uuid.UUID
	for i := range 3 {
		w := lifecycle.Workspace{ID: uuid.New(), OwnerID: o.ID, TemplateID: tm.ID, OrganizationID: tm.OrganizationID, Name: "w", CreatedAt: monday}
		if i > 0 {
			w.Autostart = cron
		}
		must(t, s.CreateWorkspaces(ctx, monday, w))
		ids = append(ids, w.ID)
	}
	nobody := func(lifecycle.Event) error { return nil }
	e, err := executor.New(s, executor.Config{Notifier: discard(nobody), Auditor: discard(nobody), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	for i, id := range ids {
		made, err := e.Update(ctx, id, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
		must(t, err)
		if i < 2 {
			_, err = e.Update(ctx, id, lifecycle.JobEnded(lifecycle.JobResult{BuildID: made.Build.ID, Status: lifecycle.JobSucceeded}))
			must(t, err)
		}
	}
	p := uuid.New()
	_, err = s.Heartbeat(ctx, queue.Heartbeat{Process: p, Now: monday, Name: "p"})
	must(t, err)
	l, err := s.Ready(ctx, time.Now().Add(time.Hour), queue.ReadyQuery{CountTo: 9})
	must(t, err)
	_, err = s.Claim(ctx, queue.Claim{
		Token: uuid.New(), Process: p, Now: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond),
		Probes: []queue.Probe{{Lane: l.Lanes[0].Lane}}, Workers: []uuid.UUID{uuid.New()},
	})
	must(t, err)
	_, err = s.Enqueue(ctx, monday, []queue.Posting{{Type: "later", NotBefore: monday.Add(time.Hour)}})
	must(t, err)
	return s, ids
}

func discard(f func(lifecycle.Event) error) executor.Sink {
	return func(_ context.Context, e lifecycle.Event) error { return f(e) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines orders the lines of a dump, which come in no particular order.
func lines(t *testing.T, s *memory.Store) string {
	t.Helper()
	var b bytes.Buffer
	must(t, s.Dump(&b))
	all := strings.Split(b.String(), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// restored returns what a dump of the store restores, and sees that it dumps the same.
func restored(t *testing.T, s *memory.Store) *memory.Store {
	t.Helper()
	var b bytes.Buffer
	must(t, s.Dump(&b))
	r, err := memory.Restore(&b, nil)
	must(t, err)
	if got, want := lines(t, r), lines(t, s); got != want {
		t.Errorf("a restored store dumps differently:\n%s\nwant\n%s", got, want)
	}
	return r
}

// Dates that somebody could read once, and this machine cannot, hold back their own template and nothing else.
func TestRestoreOfUnusableHolidays(t *testing.T) {
	const text = "Mars/Olympus 2026-12-24"
	s, _ := lived(t)
	id := uuid.New()
	must(t, s.PutTemplate(t.Context(), monday, lifecycle.Template{ID: id}))
	memory.Corrupt(t, s, "policy", id, `{"holidays":"`+text+`"}`)
	r := restored(t, s)
	w := lifecycle.Workspace{ID: uuid.New(), TemplateID: id, CreatedAt: monday}
	must(t, r.PutOwner(t.Context(), monday, lifecycle.Owner{}))
	must(t, r.CreateWorkspaces(t.Context(), monday, w))
	found, err := r.Load(t.Context(), w.ID)
	must(t, err)
	if d := found[0].Template.Policy.Holidays; d.Err() == nil || d.String() != text {
		t.Errorf("holidays %q, error %v; want them as they were, unusable", d, d.Err())
	}
}

// Events about no workspace stand in lines of their own, each of its subject: a restored store goes on with each of them.
func TestRestoreOfRecordedEvents(t *testing.T) {
	s, _ := lived(t)
	for range 2 {
		id := uuid.New()
		e := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventTemplateChanged, At: monday, TemplateID: id}
		must(t, s.Recording(e, e).PutTemplate(t.Context(), monday, lifecycle.Template{ID: id}))
	}
	r := restored(t, s)
	audit := []lifecycle.Topic{lifecycle.TopicAudit}
	for _, store := range []*memory.Store{s, r} {
		dropped, err := store.PruneEvents(t.Context(), monday.Add(time.Hour), audit, 100)
		must(t, err)
		if len(dropped) != 4 {
			t.Errorf("%d events about templates, want 4", len(dropped))
		}
	}
}

// What a job has said and been through comes back with it, in the order of its lines.
func TestRestoreOfLogsAndHistories(t *testing.T) {
	s, ctx := memory.New(), t.Context()
	org, process, secret := uuid.New(), uuid.New(), queue.NewSecret()
	_, err := s.Heartbeat(ctx, queue.Heartbeat{Process: process, Now: monday})
	must(t, err)
	jobs, err := s.Enqueue(ctx, monday, []queue.Posting{{Organization: org, Type: "build", Payload: []byte("p")}})
	must(t, err)
	claimed, err := s.Claim(ctx, queue.Claim{
		Token: uuid.New(), Process: process, Now: monday, Probes: []queue.Probe{{Lane: jobs[0].Lane()}}, Workers: []uuid.UUID{uuid.New()},
		Secrets: []queue.SecretHash{secret.Hash()},
	})
	must(t, err)
	job := claimed.Jobs[0]
	job.Secret = secret
	_, err = s.Renew(ctx, monday, []queue.Renewal{{Handout: job.Handout(), Process: process, Lines: []queue.Line{{At: monday, Text: "a"}, {At: monday, Text: "b"}}}})
	must(t, err)
	_, err = s.End(ctx, monday, []queue.End{{Handout: job.Handout(), Outcome: queue.OutcomeFailed, Error: "e"}})
	must(t, err)
	r := restored(t, s)
	lines, err := r.Lines(ctx, job.ID, 0, 9)
	must(t, err)
	attempts, err := r.Attempts(ctx, job.ID)
	must(t, err)
	if len(lines) != 2 || lines[1].Text != "b" || len(attempts) != 1 || attempts[0].Error != "e" {
		t.Errorf("restored %+v and %+v, want two lines and one attempt", lines, attempts)
	}
}

func TestDumpAndRestore(t *testing.T) {
	s, ids := lived(t)
	r := restored(t, s)
	for _, id := range ids {
		was, err := s.Load(t.Context(), id)
		must(t, err)
		is, err := r.Load(t.Context(), id)
		must(t, err)
		at := monday.Add(100 * time.Hour)
		if got, want := lifecycle.Explain(is[0], at).String(), lifecycle.Explain(was[0], at).String(); got != want {
			t.Errorf("restored workspace explains differently:\n%s\nwant\n%s", got, want)
		}
		if !lifecycle.NextWake(is[0], at).Equal(lifecycle.NextWake(was[0], at)) {
			t.Error("restored workspace wakes at another instant")
		}
	}
	due, err := r.Due(t.Context(), lifecycle.DueQuery{Now: monday.AddDate(10, 0, 0), Limit: 10})
	must(t, err)
	want, err := s.Due(t.Context(), lifecycle.DueQuery{Now: monday.AddDate(10, 0, 0), Limit: 10})
	must(t, err)
	if len(due) != len(want) {
		t.Errorf("restored store has %d due, want %d", len(due), len(want))
	}
}

// A dump is a text that somebody may have edited: what nobody can mean is refused, or keeps its template from acting.
func TestRestoreChecksValues(t *testing.T) {
	s, _ := lived(t)
	var b bytes.Buffer
	must(t, s.Dump(&b))
	whole := b.String()
	for name, c := range map[string]struct{ old, new, want string }{
		"a TTL":             {`"TTL":0,"LastUsedAt"`, `"TTL":-1,"LastUsedAt"`, "Workspace.TTL"},
		"a hold":            {`"Hold":{}`, `"Hold":{"note":"` + strings.Repeat("x", 900) + `"}`, "Hold.Note"},
		"a grace":           {`{"template":{`, `{"template":{"terms":{"stop_grace":-1},`, "PolicyTerms.StopGrace"},
		"a build of no one": {`"Number":1,`, `"Number":0,`, "Change.Build.Number"},
		"a count of failed": {`"Failures":0`, `"Failures":-3`, "Workspace.Failures"},
	} {
		if !strings.Contains(whole, c.old) {
			t.Errorf("%s: the dump has no %s", name, c.old)
			continue
		}
		_, err := memory.Restore(strings.NewReader(strings.Replace(whole, c.old, c.new, 1)), nil)
		if !errors.Is(err, invalid.Err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := memory.Restore(strings.NewReader(whole), &schedule.Interner{Options: schedule.Options{Zone: "Local"}}); !errors.Is(err, invalid.Err) {
		t.Errorf("options that no schedule can be read with: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s, _ := lived(t)
	var b bytes.Buffer
	must(t, s.Dump(&b))
	whole := b.String()
	cut := strings.SplitAfter(whole, "\n")
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "line 1: the dump ends early"},
		"something else": {"hello\n", "line 1"},
		"a newer format": {`{"dormouse":99}` + "\n", "this is no dump of version 1"},
		"a dump cut off": {whole[:len(whole)/2], "the dump ends early"},
		"a line missing": {strings.Join(append(cut[:3:3], cut[4:]...), ""), "line"},
	} {
		_, err := memory.Restore(strings.NewReader(c.text), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}
