package harm

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var beforeFlag = flag.String("harm.before", "",
	`the commit whose program works beside this one in a rolling upgrade; "previous" is the one before the newest migration; empty: the test's own`)

// previous asks for the commit before the newest migration of a store.
const previous = "previous"

// BuildBefore builds the test binary of a package of this repository ("./internal/e2e/chaos") as it was at a commit, for
// [StartProgram]. The commit is the oldest whose program can be told what to do by this one, so that every migration since
// is between the two; -harm.before chooses another. Where the history does not have it, the one before the newest
// migration takes its place. A clone without history skips the test, and says so on standard error; a whole one that has
// neither fails it.
func BuildBefore(t *testing.T, commit, pkg string) string {
	t.Helper()
	return buildAt(t, commit, func(_, tree, binary string) [][]string {
		return [][]string{{"go", "test", "-C", tree, "-c", "-o", binary, pkg}}
	})
}

// BuildProgram builds a program of this repository, as it is now, with the library as it was at a commit, which is chosen as that
// of [BuildBefore]. The program stands in one directory, and uses what both have.
func BuildProgram(t *testing.T, commit, dir string) string {
	t.Helper()
	return buildAt(t, commit, func(root, tree, binary string) [][]string {
		return [][]string{
			{"mkdir", "-p", filepath.Join(tree, dir)},
			{"cp", "-r", filepath.Join(root, dir) + "/.", filepath.Join(tree, dir)},
			{"go", "build", "-C", tree, "-o", binary, "./" + dir},
		}
	})
}

// buildAt builds something in the tree of a commit; root is that of the clone.
func buildAt(t *testing.T, commit string, steps func(root, tree, binary string) [][]string) string {
	t.Helper()
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		skip(t, "this is no clone of a repository")
	}
	if *beforeFlag != "" {
		commit = *beforeFlag
	}
	commit = resolve(t, root, commit)
	t.Logf("the release before is of commit %s", commit)
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "before.test")
	extract := [][]string{
		{"mkdir", tree},
		{"sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", root, commit, tree},
	}
	for _, step := range append(extract, steps(root, tree, binary)...) {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("build the release before: %v: %v\n%s", step, err, out)
		}
	}
	return binary
}

// resolve returns the commit to build.
func resolve(t *testing.T, root, commit string) string {
	t.Helper()
	if commit != previous {
		found, err := git(root, "rev-parse", "--verify", "--quiet", commit+"^{commit}")
		if err == nil {
			return found
		}
		if *beforeFlag != "" {
			t.Fatalf("there is no commit %s", commit)
		}
	}
	newest, err := git(root, "log", "--first-parent", "-m", "--diff-filter=A", "-1", "--format=%H", "--", "store/postgres/migrations", "store/sqlite/migrations")
	if err == nil && newest != "" {
		if found, err := git(root, "rev-parse", "--verify", "--quiet", newest+"^"); err == nil {
			return found
		}
	}
	if shallow, err := git(root, "rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
		skip(t, "the history is too short for commit "+commit)
	}
	t.Fatalf("the whole history is here, and has neither commit %s nor one before the newest migration", commit)
	return ""
}

func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "harm: NO ROLLING UPGRADE IS TESTED by %s: %s\n", t.Name(), why)
	t.Skipf("%s: fetch the history (git fetch --unshallow) to test a rolling upgrade", why)
}

func git(dir string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
