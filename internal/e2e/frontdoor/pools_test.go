package frontdoor_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// claimerEnv names the directory of a plane that claims: the test's program becomes one.
const claimerEnv = "DORMOUSE_TEST_CLAIMER"

// openPool opens the database of a directory.
func openPool(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	db, err := sqlite.Open("sqlite", filepath.Join(dir, "dormouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlite.New(db, sqlite.Config{})
	if err == nil {
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestClaimerProcess is a plane with a pool of workspaces, in a process of its own. It writes down a key, claims with it, and
// writes down what it got; after a kill it goes on with the last key.
func TestClaimerProcess(t *testing.T) {
	dir := os.Getenv(claimerEnv)
	if dir == "" {
		t.Skip("started by TestClaimsKilledAtAnyTime")
	}
	s := openPool(t, dir)
	plane, err := dormouse.New(s, dormouse.Config{
		Build: func(context.Context, *dormouse.Build) error { time.Sleep(10 * time.Millisecond); return nil },
		Pools: []dormouse.Pool{{Name: "go", TemplateName: "go-dev", Size: 4, Ceiling: 8, Tune: func(c *prewarm.Config) { c.Spec.HitRate = -1 }}},
		// One process runs at a time: whoever is registered is dead.
		TuneAcquirer: func(c *acquirer.Config) {
			c.Alone, c.Lost = true, map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(1000, 0)}
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // for the case that its parent is gone
	defer cancel()
	if _, err := plane.PutTemplate(ctx, dormouse.Template{Name: "go-dev"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- plane.Run(ctx) }()
	key := lastLine(filepath.Join(dir, "intents"))
	for n := 0; ctx.Err() == nil; n++ {
		if n > 0 || key == "" {
			key = uuid.NewString()
			note(t, dir, "intents", key)
		}
		for {
			got, err := plane.Claim(ctx, dormouse.Claim{
				Pool: "go", Key: key, IfEmpty: prewarm.IfEmpty(1 + n%2), Workspace: dormouse.NewWorkspace{Owner: "ann", Name: key},
			})
			if err == nil {
				note(t, dir, "claims", key+" "+got.Workspace.ID.String())
				break
			}
			if ctx.Err() != nil {
				break
			}
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// note adds a line to a file, whole or not at all.
func note(t *testing.T, dir, file, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line + "\n")
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func linesOf(path string) (lines []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

func lastLine(path string) string {
	lines := linesOf(path)
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// claimsUnderKills is how many claims prove something.
const claimsUnderKills = 10

// A plane is killed at any instant while it claims workspaces. In the end the database says that every claim is done for its
// key or not done: a workspace is its owner's exactly if its member is claimed, under the key that is its name.
func TestClaimsKilledAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	s := openPool(t, dir)
	kills := 0
	r := harm.Random(t)
	harm.Do(*harm.Duration, func() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestClaimerProcess$")
		cmd.Env = append(os.Environ(), claimerEnv+"="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) > 0 { // the others are killed at any instant of their start, however slow the machine
			claiming(dir)
		}
		time.Sleep(time.Duration(r.IntN(1200)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		kills++
	}, func() bool { return len(claimsIn(t, dir)) >= claimsUnderKills })
	byKey := claimsIn(t, dir)
	if len(byKey) < claimsUnderKills {
		t.Errorf("only %d claims under %d kills", len(byKey), kills)
	}
	claimed := checkMembers(t, s)
	for key, workspace := range byKey {
		if claimed[key] != workspace {
			t.Errorf("key %s was given %s, and the database says %q", key, workspace, claimed[key])
		}
	}
	t.Logf("%d claims under %d kills", len(claimed), kills)
}

// claimsIn returns what was given to each key.
func claimsIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	byKey := map[string]string{}
	for _, line := range linesOf(filepath.Join(dir, "claims")) {
		key, workspace, _ := strings.Cut(line, " ")
		if before, ok := byKey[key]; ok && before != workspace {
			t.Errorf("key %s got %s and %s", key, before, workspace)
		}
		byKey[key] = workspace
	}
	return byKey
}

// claiming waits until somebody has claimed something more, or for a while.
func claiming(dir string) {
	file := filepath.Join(dir, "claims")
	before := len(linesOf(file))
	for begun := time.Now(); len(linesOf(file)) == before && time.Since(begun) < time.Minute; {
		time.Sleep(20 * time.Millisecond)
	}
}

// checkMembers compares every workspace with its member, and returns the workspaces that are somebody's by their key.
func checkMembers(t *testing.T, s *sqlite.Store) map[string]string {
	t.Helper()
	members, err := s.Members(t.Context(), prewarm.Query{Pool: "go"})
	if err != nil {
		t.Fatal(err)
	}
	byResource := map[uuid.UUID]prewarm.Member{}
	for _, m := range members {
		byResource[m.Resource] = m
	}
	claimed := map[string]string{}
	for after := uuid.Nil; ; {
		page, err := s.List(t.Context(), lifecycle.ListQuery{After: after, Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range page {
			w := found.Workspace
			m, ok := byResource[w.ID]
			if state := fmt.Sprint(m.State); !ok || w.Managed == (m.State == prewarm.Claimed) || !w.Managed && m.Claim.Key != w.Name {
				t.Errorf("workspace %s of %s, managed %v, has a member %v that is %s under key %q", w.Name, found.Owner.Name, w.Managed, ok, state, m.Claim.Key)
			}
			if !w.Managed {
				claimed[w.Name] = w.ID.String()
			}
			after = w.ID
		}
		if len(page) < 500 {
			return claimed
		}
	}
}
