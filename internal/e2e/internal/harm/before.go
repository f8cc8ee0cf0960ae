package harm

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// BuildBefore builds the test binary of a package of this repository ("./internal/e2e/chaos") as it was at a commit, for
// [StartProgram]. It skips the test where the history does not reach that far.
func BuildBefore(t *testing.T, commit, pkg string) string {
	t.Helper()
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skip("no git: the release before cannot be built")
	}
	top := filepath.Clean(string(root[:len(root)-1]))
	if err := exec.Command("git", "-C", top, "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		t.Skipf("the history is too short for commit %s: fetch it to test a rolling upgrade", commit)
	}
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "before.test")
	for _, step := range [][]string{
		{"mkdir", tree},
		{"sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", top, commit, tree},
		{"go", "test", "-C", tree, "-c", "-o", binary, pkg},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("build the release before: %v: %v\n%s", step, err, out)
		}
	}
	return binary
}
