package chaos_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/e2e/internal/harm"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// before is the release that a rolling upgrade begins with.
const before = "dcf8e5f"

// TestUpgrade has a replica of the release before work beside new ones, on tables that are already new. It is killed and
// started again, as are the others, and the laws hold.
func TestUpgrade(t *testing.T) {
	old := buildBefore(t)
	random := harm.Random(t)
	server, err := pgtest.StartOwn(t.Context(), pgtest.Options{})
	pgtest.Require(t, err)
	t.Cleanup(func() { _ = server.Close() })
	c := &chaos{T: t, server: server, random: random, old: old}
	c.fill()
	c.o = order{DSN: server.DSN(""), Real: time.Now(), Speed: speed}
	for i := range c.replicas {
		c.start(i)
	}
	t.Cleanup(c.end)
	for range 8 {
		time.Sleep(time.Second)
		c.replace()
	}
	last := c.settle()
	check(t, c.pool, last)
	var shares int
	c.must(c.pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.replicas`).Scan(&shares))
	if shares < replicas {
		t.Errorf("%d replicas have ticked, want at least %d", shares, replicas)
	}
}

// buildBefore builds the test binary of this package as it was.
func buildBefore(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skip("no git: the release before cannot be built")
	}
	top := filepath.Clean(string(root[:len(root)-1]))
	if err := exec.Command("git", "-C", top, "cat-file", "-e", before+"^{commit}").Run(); err != nil {
		t.Skipf("the history is too short for commit %s: fetch it to test a rolling upgrade", before)
	}
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "before.test")
	for _, step := range [][]string{
		{"mkdir", tree},
		{"sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", top, before, tree},
		{"go", "test", "-C", tree, "-c", "-o", binary, "./internal/e2e/chaos"},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("build the release before: %v: %v\n%s", step, err, out)
		}
	}
	return binary
}
