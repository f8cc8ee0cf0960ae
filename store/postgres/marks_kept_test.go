package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// A mark that the host keeps from being written or deleted keeps nobody else from being woken, and is named.
func TestDueBesideAMarkThatTheHostKeeps(t *testing.T) {
	_, pool := open(t)
	for how, refusal := range refusals {
		for _, on := range []string{"UPDATE", "DELETE"} {
			t.Run(on+" "+how, func(t *testing.T) {
				exec(t, pool, letGoSQL)
				exec(t, pool, emptySQL)
				var log bytes.Buffer
				s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				must(t, err)
				f := newFleet(t, s, 3)
				exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL; DELETE FROM dormouse.marks`)
				kept := uuid.New()
				exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, touched_at) VALUES ($1, false, $3, '-infinity'), ($2, false, $3, '-infinity')`,
					kept, f.template.ID, epoch)
				exec(t, pool, hostTrigger(on, "marks", fmt.Sprintf("old.subject = '%s'", kept), refusal))
				for range 2 {
					due, err := s.Due(soon(t), lifecycle.DueQuery{Now: epoch, Limit: 10})
					if err != nil || len(due) != 3 {
						t.Errorf("%d are due, %v", len(due), err)
					}
				}
				if n := count(t, pool, "marks"); n != 1 {
					t.Errorf("%d marks are left, want the one that is kept", n)
				}
				if said := log.String(); how != "says nothing" && !strings.Contains(said, kept.String()) {
					t.Errorf("log: %s", said)
				}
			})
		}
	}
	exec(t, pool, letGoSQL)
}

// A mark that the host keeps from being written does not keep those who change a template or an owner from waking its workspaces, however
// many there are.
func TestWakesBesideAMarkThatTheHostKeeps(t *testing.T) {
	_, pool := open(t)
	for how, refusal := range refusals {
		t.Run(how, func(t *testing.T) {
			exec(t, pool, letGoSQL)
			exec(t, pool, emptySQL)
			var log bytes.Buffer
			s, err := postgres.New(pool, postgres.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			f := newFleet(t, s, 1001) // a page and one
			exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
			exec(t, pool, hostTrigger("UPDATE", "marks", "true", refusal))
			f.owner.Name = "another"
			must(t, s.PutOwner(soon(t), epoch, f.owner))
			var asleep int
			must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.workspaces WHERE wake_at IS NULL`).Scan(&asleep))
			if left := count(t, pool, "marks"); asleep > 0 || left > 0 || log.Len() > 0 {
				t.Errorf("%d are not woken, %d marks are left, log %.500s", asleep, left, log.String())
			}
		})
	}
	exec(t, pool, letGoSQL)
}
