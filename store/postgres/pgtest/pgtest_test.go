package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// TestDatabasesAreApart gives two tests databases that do not see each other, migrated both.
func TestDatabasesAreApart(t *testing.T) {
	a, b := pgtest.Pool(t), pgtest.Pool(t)
	if _, err := a.Exec(t.Context(), `INSERT INTO dormouse.tag_sets (canon) VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := b.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.tag_sets`).Scan(&n); err != nil || n != 0 {
		t.Errorf("the other database has %d rows, error %v", n, err)
	}
}

// TestKilled kills a process that has started a server: the server ends and its directory goes.
func TestKilled(t *testing.T) {
	if os.Getenv("PGTEST_VICTIM") == "1" {
		s, err := pgtest.StartOwn(t.Context(), pgtest.Options{})
		pgtest.Require(t, err)
		fmt.Println("READY", s.DSN(""))
		select {} // until it is killed
	}
	pgtest.Shared(t) // skips where there are no binaries
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), "PGTEST_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for dir == "" {
		b := make([]byte, 4096)
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("the victim said nothing: %v", err)
		}
		if _, dsn, found := strings.Cut(string(b[:n]), "host="); found {
			dir, _, _ = strings.Cut(dsn, " ")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Fatalf("the victim's server does not run: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the directory of a server whose owner was killed is still there: %s", dir)
		case <-poll.C:
		}
	}
}
