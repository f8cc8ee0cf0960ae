package planesource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

var noon = time.Date(2026, 12, 2, 12, 0, 0, 0, time.UTC)

func newJournal(t *testing.T, cfg planesource.JournalConfig) *planesource.Journal {
	t.Helper()
	j, err := planesource.NewJournal(cfg)
	must(t, err)
	return j
}

func missed(id uuid.UUID, at time.Time) dormouse.Event {
	return dormouse.Event{Kind: lifecycle.EventStartMissed, WorkspaceID: id, At: at, DueAt: at.Add(-time.Hour)}
}

// A journal keeps an event once, in order of time, until it is too old, too many or its workspace is gone.
func TestJournalKeeps(t *testing.T) {
	j, id := newJournal(t, planesource.JournalConfig{Keep: 24 * time.Hour, PerWorkspace: 3}), uuid.New()
	record := func(e dormouse.Event) {
		t.Helper()
		must(t, j.Record(t.Context(), e))
	}
	marks := func() int { return len(j.Marks(id, time.Time{})) }

	record(missed(id, noon))
	record(missed(id, noon)) // delivered twice
	record(missed(id, noon.Add(-2*time.Hour)))
	record(dormouse.Event{Kind: lifecycle.EventBuildQueued, WorkspaceID: id, At: noon})
	list := j.Marks(id, time.Time{})
	if len(list) != 2 || !list[0].At.Equal(noon.Add(-3*time.Hour)) || list[0].Kind != webui.MarkSkipped {
		t.Errorf("marks: %+v", list)
	}
	if n := len(j.Marks(id, noon.Add(-90*time.Minute))); n != 1 {
		t.Errorf("%d marks since", n)
	}
	for i := range 5 {
		record(missed(id, noon.Add(time.Duration(i+1)*time.Minute)))
	}
	if n := marks(); n != 3 {
		t.Errorf("%d marks, want the latest 3", n)
	}
	record(missed(id, noon.Add(48*time.Hour)))
	if n := marks(); n != 1 {
		t.Errorf("%d marks, want the one that is not too old", n)
	}
	record(dormouse.Event{Kind: lifecycle.EventDeleted, WorkspaceID: id, At: noon})
	if n := marks(); n != 0 {
		t.Errorf("%d marks of a deleted workspace", n)
	}
}

// Beyond its bound a journal forgets the workspaces of which nothing was heard for longest.
func TestJournalIsBounded(t *testing.T) {
	j := newJournal(t, planesource.JournalConfig{Workspaces: 100})
	ids := make([]uuid.UUID, 1000)
	for i := range ids {
		ids[i] = uuid.New()
		j.Used(ids[i], noon.Add(time.Duration(i)*time.Minute))
	}
	known := 0
	for _, id := range ids {
		if len(j.Sessions(id)) > 0 {
			known++
		}
	}
	if known > 100 || known < 80 {
		t.Errorf("%d workspaces are known", known)
	}
	if len(j.Sessions(ids[999])) != 1 || len(j.Sessions(ids[0])) != 0 {
		t.Error("not the latest ones are known")
	}
}

// Uses that follow one another are one session and one mark.
func TestJournalSessions(t *testing.T) {
	j, id := newJournal(t, planesource.JournalConfig{}), uuid.New()
	for minute := range 120 {
		j.Used(id, noon.Add(time.Duration(minute)*time.Minute))
	}
	j.Used(id, noon.Add(6*time.Hour))
	list := j.Sessions(id)
	if len(list) != 2 || !list[0].Begin.Equal(noon) || list[0].End.Sub(noon) < 2*time.Hour || list[0].End.Sub(noon) > 3*time.Hour {
		t.Errorf("sessions: %v", list)
	}
	if marks := j.Marks(id, time.Time{}); len(marks) != 2 || marks[0].Kind != webui.MarkActivity {
		t.Errorf("marks: %+v", marks)
	}
}

func TestJournalConfig(t *testing.T) {
	for field, cfg := range map[string]planesource.JournalConfig{
		"Keep": {Keep: -1}, "PerWorkspace": {PerWorkspace: -1}, "Workspaces": {Workspaces: -1},
	} {
		if _, err := planesource.NewJournal(cfg); !errors.Is(err, invalid.Err) || !strings.Contains(err.Error(), "JournalConfig."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// What a person does to a workspace of a plane is on its lane, with who did it.
func TestJournalOfAPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, all := newJournal(t, planesource.JournalConfig{}), memory.New()
		s := newSite(t, all, dormouse.Config{Audit: j.Record, Build: func(context.Context, *dormouse.Build) error { return nil }})
		source, err := planesource.New(s.Plane, all, planesource.Config{Journal: j})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		id := s.create("api")
		_, err = s.Hold(ctx, id, lifecycle.Hold{Until: time.Now().Add(time.Hour), Note: "demo"}, dormouse.By("ann"))
		must(t, err)
		j.Used(id, time.Now())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		marks, err := source.Marks(ctx, id, time.Time{})
		must(t, err)
		if len(marks) != 2 || !strings.Contains(marks[0].Text+marks[1].Text, "by ann") {
			t.Errorf("marks: %+v", marks)
		}
		cancel()
		must(t, <-ran)
	})
}
