package sqlite_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

var killFor = flag.Duration("kill", 4*time.Second, "how long to kill processes in the middle of commits")

// The variables that make the test binary a child, and which file to work on.
const (
	childFile  = "DORMOUSE_SQLITE_CHILD"
	tickerFile = "DORMOUSE_SQLITE_TICKER"
)

func TestMain(m *testing.M) {
	for variable, child := range map[string]func(context.Context, string) error{childFile: child, tickerFile: ticker} {
		if path := os.Getenv(variable); path != "" {
			if err := child(context.Background(), path); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

var killEpoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// fleet is the workspaces of the kill test, the same in every process.
func fleet() []uuid.UUID {
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(i)})
	}
	return ids
}

// child gives every workspace one build after the other, and says on its output which numbers were acknowledged.
func child(ctx context.Context, path string) error {
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return err
	}
	for {
		all, err := s.Load(ctx, fleet()...)
		if err != nil {
			return err
		}
		changes := make([]lifecycle.Change, len(all))
		for i := range all {
			changes[i] = nextBuild(&all[i])
		}
		outcomes, err := s.Commit(ctx, killEpoch, changes)
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			if o == lifecycle.Applied {
				fmt.Println(changes[i].Workspace.ID, changes[i].Build.Number)
			}
		}
	}
}

// nextBuild is a build that has ended, with a job and an event of its own.
func nextBuild(s *lifecycle.Snapshot) lifecycle.Change {
	n := s.Build.Number + 1
	id := buildID(s.Workspace.ID, n)
	return lifecycle.Change{
		Revision: s.Workspace.Revision, Workspace: s.Workspace, NewBuild: true,
		Build: lifecycle.Build{
			ID: id, Number: n, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded, CompletedAt: killEpoch,
		},
		Job: &lifecycle.Job{ID: id, WorkspaceID: s.Workspace.ID, BuildNumber: n, Transition: lifecycle.TransitionStop},
		Events: []lifecycle.Event{{
			Topic: lifecycle.TopicAudit, Kind: lifecycle.EventBuildQueued, WorkspaceID: s.Workspace.ID,
			Revision: s.Workspace.Revision, BuildNumber: n,
		}},
	}
}

func buildID(workspace uuid.UUID, n int64) uuid.UUID {
	return uuid.NewSHA1(workspace, fmt.Append(nil, n))
}

// TestKill kills processes at random instants while they commit. Afterwards everything that was acknowledged to one of them is
// there, and every build has its job and its event.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	s := migrated(t, openFile(t, path))
	template, owner := uuid.New(), uuid.New()
	must(t, s.PutTemplate(t.Context(), killEpoch, lifecycle.Template{ID: template}))
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: owner}))
	for _, id := range fleet() {
		must(t, s.CreateWorkspaces(t.Context(), killEpoch, lifecycle.Workspace{ID: id, OwnerID: owner, TemplateID: template}))
	}
	acknowledged := map[string]int64{}
	kills := 0
	for end := time.Now().Add(*killFor); time.Now().Before(end); kills++ {
		killOne(t, path, time.Duration(kills*37%250)*time.Millisecond, acknowledged)
	}
	builds := check(t, s, acknowledged)
	t.Logf("%d kills, %d builds", kills, builds)
	if kills == 0 || builds == 0 {
		t.Error("nothing was killed, or nothing written: the test proves nothing")
	}
}

// killOne runs a child until it has acknowledged something and then for a while, kills it, and notes what it said.
func killOne(t *testing.T, path string, after time.Duration, acknowledged map[string]int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var kill *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if kill == nil {
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var id string
		var n int64
		if _, err := fmt.Sscan(lines.Text(), &id, &n); err == nil && len(id) == 36 {
			acknowledged[id] = max(acknowledged[id], n)
		}
	}
	if err := cmd.Wait(); kill == nil {
		t.Fatalf("the child wrote nothing: %v", err)
	}
}

// check reads the whole file and returns the number of builds.
func check(t *testing.T, s *sqlite.Store, acknowledged map[string]int64) int {
	t.Helper()
	ctx := t.Context()
	events := map[string]bool{}
	for {
		claimed, err := s.ClaimEvents(ctx, killEpoch, []lifecycle.Topic{lifecycle.TopicAudit}, time.Hour, 1000)
		must(t, err)
		if len(claimed) == 0 {
			break
		}
		done := make([]lifecycle.Delivery, len(claimed))
		for i, e := range claimed {
			events[fmt.Sprint(e.WorkspaceID, e.BuildNumber)] = true
			done[i].Seq = e.Seq
		}
		must(t, s.SettleEvents(ctx, killEpoch, done))
	}
	total := 0
	for _, id := range fleet() {
		builds, err := s.Builds(ctx, id, 0, 1<<30)
		must(t, err)
		if len(builds) == 0 || builds[0].Number < acknowledged[id.String()] {
			t.Errorf("workspace %s: build %d was acknowledged and is lost", id, acknowledged[id.String()])
		}
		total += len(builds)
		ids := make([]uuid.UUID, len(builds))
		for i, b := range builds {
			ids[i] = b.ID
			if want := int64(len(builds) - i); b.Number != want || !events[fmt.Sprint(id, want)] {
				t.Errorf("workspace %s: build %d stands at place %d, its event: %t", id, b.Number, want, events[fmt.Sprint(id, want)])
			}
		}
		jobs, err := s.Jobs(ctx, queue.Filter{IDs: ids})
		must(t, err)
		if len(jobs) != len(builds) {
			t.Errorf("workspace %s: %d builds have %d jobs", id, len(builds), len(jobs))
		}
	}
	if len(events) != total {
		t.Errorf("%d builds have %d events", total, len(events))
	}
	return total
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
