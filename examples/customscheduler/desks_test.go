package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// suite gives the host's ways to fill its tables the names that the suite calls them by.
type suite struct{ *Desks }

func (s suite) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	return s.saveBlueprint(ctx, now, t)
}

func (s suite) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	return s.savePerson(ctx, now, o)
}

func (s suite) CreateWorkspaces(ctx context.Context, now time.Time, w ...lifecycle.Workspace) error {
	return s.addDesks(ctx, now, w...)
}

// TestConformance is all that a host has to write to know that its table keeps the engine's promises.
func TestConformance(t *testing.T) {
	storetest.Lifecycle(t, func(t *testing.T) storetest.LifecycleStore {
		d, err := open(t.Context(), filepath.Join(t.TempDir(), "host.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.db.Close() })
		return suite{d}
	}, storetest.Options{Goroutines: 4, Rounds: 8})
}

// TestDueReadsOneIndex asks the database how it finds what is due: a tick must cost what is due, not what exists.
func TestDueReadsOneIndex(t *testing.T) {
	d, err := open(t.Context(), filepath.Join(t.TempDir(), "host.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.db.Close()
	rows, err := d.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT d.label, p.handle, b.title"+fromDesks+whereDue, 1, 0, "", 1, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan.String(), "SEARCH d USING INDEX desks_look_at") || strings.Contains(plan.String(), "SCAN") ||
		strings.Contains(plan.String(), "TEMP B-TREE") {
		t.Errorf("Due must be a walk over the index on look_at:\n%s", plan.String())
	}
}

func TestWeek(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Mon 08:30  start   ann-api      autostart", "start   ben-web      manual",
		"stop    ann-api      autostop", "Fri 00:00  stop    ben-old      dormancy", "ticks were enough for",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}
