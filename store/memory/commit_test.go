package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// A schedule that no workspace has any more is not kept.
func TestSchedulesThatAreReplacedAreForgotten(t *testing.T) {
	s, ids := lived(t)
	before := s.Crons()
	for minute := range 60 {
		found, err := s.Load(t.Context(), ids[0])
		must(t, err)
		c := lifecycle.Change{Revision: found[0].Workspace.Revision, Workspace: found[0].Workspace, Build: found[0].Build}
		c.Workspace.Autostart, err = schedule.Weekly(fmt.Sprintf("%d 9 * * *", minute))
		must(t, err)
		outcomes, err := s.Commit(t.Context(), monday, []lifecycle.Change{c})
		must(t, err)
		if outcomes[0] != lifecycle.Applied {
			t.Fatal(outcomes)
		}
	}
	if n := s.Crons(); n > before+1 {
		t.Errorf("%d schedules are kept, before the 60 of one workspace %d", n, before)
	}
}

// A job that cannot be written is refused where its build is committed, and not when a worker takes it.
func TestAJobThatCannotBeWrittenIsRefused(t *testing.T) {
	for what, spoil := range map[string]func(*lifecycle.Job){
		"transition": func(j *lifecycle.Job) { j.Transition = lifecycle.TransitionDelete + 1 },
		"early":      func(j *lifecycle.Job) { j.CreatedAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) },
		"late":       func(j *lifecycle.Job) { j.CreatedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"payload":    func(j *lifecycle.Job) { j.Payload = []byte(strings.Repeat("x", queue.MaxPayload)) },
	} {
		t.Run(what, func(t *testing.T) {
			s, ids := lived(t)
			before := lines(t, s)
			found, err := s.Load(t.Context(), ids[0])
			must(t, err)
			c, err := lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)(found[0], monday)
			must(t, err)
			c.Build.ID = uuid.New()
			c.Job = &lifecycle.Job{
				ID: c.Build.ID, OrganizationID: c.Workspace.OrganizationID, WorkspaceID: c.Workspace.ID, BuildNumber: c.Build.Number,
				Transition: c.Build.Transition, CreatedAt: monday,
			}
			spoil(c.Job)
			_, err = s.Commit(t.Context(), monday, []lifecycle.Change{c})
			var blamed *lifecycle.ChangeError
			if !errors.As(err, &blamed) || blamed.WorkspaceID != ids[0] {
				t.Errorf("error %v, want one that blames the workspace", err)
			}
			if after := lines(t, s); after != before {
				t.Errorf("it has had an effect:\n%s\nwant\n%s", after, before)
			}
		})
	}
}

// What a workspace that is removed had of builds is freed with it.
func TestRemovedWorkspaceFreesItsBuilds(t *testing.T) {
	s, ids := lived(t)
	found, err := s.Load(t.Context(), ids[0])
	must(t, err)
	c := lifecycle.Change{Revision: found[0].Workspace.Revision, Workspace: found[0].Workspace, Build: found[0].Build}
	c.Workspace.Deleted = true
	outcomes, err := s.Commit(t.Context(), monday, []lifecycle.Change{c})
	must(t, err)
	if outcomes[0] != lifecycle.Applied || c.Build.Status.Active() {
		t.Fatalf("%v, the build is %v", outcomes, c.Build.Status)
	}
	had, err := s.Builds(t.Context(), ids[0], 0, 100)
	must(t, err)
	before := s.BuildsKept()
	n, err := s.PruneBuilds(t.Context(), c.Build.CompletedAt.Add(time.Microsecond), 100)
	must(t, err)
	if left := s.BuildsKept(); n < len(had) || len(had) == 0 || left != before-n {
		t.Errorf("%d builds pruned, the workspace had %d; %d are kept of %d", n, len(had), left, before)
	}
	if found, err := s.Load(t.Context(), ids[0]); err != nil || len(found) != 0 {
		t.Errorf("it is still there: %+v, error %v", found, err)
	}
}
