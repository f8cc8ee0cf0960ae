//go:build unix

package provision

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
)

// A workspace writes into its home and the folder of its process, and sees neither the homes of others nor their processes. The
// test is skipped where there is no sandbox, unless DORMOUSE_TEST_REQUIRE_SANDBOX is 1.
func TestSandbox(t *testing.T) {
	if !Sandboxed() {
		if os.Getenv("DORMOUSE_TEST_REQUIRE_SANDBOX") == "1" {
			t.Fatal("there is no bubblewrap, or it may not work")
		}
		t.Skip("there is no bubblewrap, or it may not work")
	}
	p, err := NewProcesses(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := member(uuid.New(), "mine")
	home, other, run := p.home(m.Resource), p.home(uuid.New()), p.backend.Dir(m)
	for _, folder := range []string{home, other, run} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(other, "secret")
	if err := os.WriteFile(secret, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for script, may := range map[string]bool{
		`echo kept >"$HOME/file"`:              true,
		`echo here >"$RUN/file"`:               true,
		`test -x "$SELF"`:                      true,
		`cat "$SECRET"`:                        false,
		`echo gone >/etc/dormouse`:             false,
		fmt.Sprintf("kill -0 %d", os.Getpid()): false,
	} {
		argv := append(p.sandbox(self, home, run), "/bin/sh", "-c", script)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "HOME="+home, "RUN="+run, "SELF="+self, "SECRET="+secret)
		if out, err := cmd.CombinedOutput(); (err == nil) != may {
			t.Errorf("%s: error %v, want it done: %v\n%s", script, err, may, out)
		}
	}
	if text, err := os.ReadFile(filepath.Join(home, "file")); string(text) != "kept\n" {
		t.Errorf("what the workspace has written: %q, %v", text, err)
	}
}
