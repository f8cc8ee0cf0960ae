package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Which process is the server says a file that the server's user can write. Whoever writes there ends nothing of root's.
func TestLeashEndsNothingOfRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("whoever is not root ends only its own processes")
	}
	user, err := unprivileged()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "pgtest-leash") // below no folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- bystander.Wait() }()
	s := &Server{dir: dir, user: user}
	if err := os.Mkdir(s.data(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.data(), "postmaster.pid"), strconv.AppendInt(nil, int64(bystander.Process.Pid), 10), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, s.data()} {
		if err := os.Chown(path, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.attachLeash(); err != nil {
		t.Fatal(err)
	}
	_ = s.leash.Close()
	select {
	case err := <-ended:
		t.Errorf("a process of root's was ended: %v", err)
	case <-time.After(100 * time.Millisecond):
		if err := bystander.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}
