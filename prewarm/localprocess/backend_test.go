//go:build unix

package localprocess_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/prewarm/localprocess"
	"github.com/dormouse-go/dormouse/store/memory"
)

// serve is a command that is ready after a moment, has a child, and stays.
const serve = `sleep 1000 & echo $! > child; sleep 0.05; touch ready; wait`

func open(t *testing.T, dir, script string) *localprocess.Backend {
	t.Helper()
	b, err := localprocess.New(localprocess.Config{
		Dir: dir, Command: func(prewarm.Member) []string { return []string{"/bin/sh", "-c", script} }, Poll: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func member() prewarm.Member {
	id := uuid.New()
	return prewarm.Member{ID: id, Resource: id, Pool: "a/../b", Version: "v1"}
}

// created starts a process and has it destroyed in the end.
func created(t *testing.T, b *localprocess.Backend) prewarm.Member {
	t.Helper()
	m := member()
	if status, err := b.Create(context.Background(), m); err != nil || status != prewarm.StatusStarting {
		t.Fatalf("created: %s, %v", status, err)
	}
	t.Cleanup(func() {
		if err := b.Destroy(context.Background(), m); err != nil {
			t.Error(err)
		}
	})
	return m
}

// until looks at a resource until it is in a state.
func until(t *testing.T, b *localprocess.Backend, m prewarm.Member, want prewarm.Status) {
	t.Helper()
	events := make(chan prewarm.Event, 1000)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	go func() { _ = b.Watch(ctx, m.Pool, func(e prewarm.Event) { events <- e }) }()
	for {
		select {
		case e := <-events:
			if e.Resource == m.Resource && e.Status == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("%v was never %s", m.Resource, want)
		}
	}
}

func pidOf(t *testing.T, b *localprocess.Backend, m prewarm.Member, file string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir(m), file))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// dead reports whether a process has ended; one that nobody has waited for yet has.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestProcessIsReadyAndIsDestroyedWithItsChildren(t *testing.T) {
	b := open(t, t.TempDir(), serve)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	pid, child := pidOf(t, b, m, "pid"), pidOf(t, b, m, "child")
	if dead(pid) || dead(child) {
		t.Fatal("they do not run")
	}
	if status, err := b.Create(context.Background(), m); err != nil || status != prewarm.StatusReady || pidOf(t, b, m, "pid") != pid {
		t.Errorf("created again: %s, %v, process %d of %d", status, err, pidOf(t, b, m, "pid"), pid)
	}
	m.Claim.Owner = "ann"
	if err := b.Mark(context.Background(), m); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time it does not exist
		if err := b.Destroy(context.Background(), m); err != nil {
			t.Error(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); !dead(child) && time.Now().Before(deadline); {
		_, _ = os.Stat("/")
	}
	if !dead(pid) || !dead(child) {
		t.Errorf("the process is dead: %v, its child: %v", dead(pid), dead(child))
	}
	if left, err := b.List(context.Background(), m.Pool); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestProcessThatEndsIsStopped(t *testing.T) {
	b := open(t, t.TempDir(), serve)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	if err := syscall.Kill(pidOf(t, b, m, "pid"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, b, m, prewarm.StatusStopped)
}

// environments skips a test where processes cannot be known by their environment.
func environments(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("the kernel does not show environments")
	}
}

// What a process has started is destroyed with its resource though the process itself has died before.
func TestChildrenOfAProcessThatDied(t *testing.T) {
	environments(t)
	b := open(t, t.TempDir(), serve)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	child := pidOf(t, b, m, "child")
	if err := syscall.Kill(pidOf(t, b, m, "pid"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, b, m, prewarm.StatusStopped)
	if err := b.Destroy(context.Background(), m); err != nil || !dead(child) {
		t.Errorf("destroyed: %v, the child is dead: %v", err, dead(child))
	}
}

// A child with a group of its own and no environment is known by its session.
func TestChildWithoutEnvironment(t *testing.T) {
	environments(t)
	b := open(t, t.TempDir(), `set -m; env -i sleep 1000 & echo $! > child; touch ready; wait`)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	child := pidOf(t, b, m, "child")
	if err := b.Destroy(context.Background(), m); err != nil || !dead(child) {
		t.Errorf("destroyed: %v, the child is dead: %v", err, dead(child))
	}
}

// A process that begins another program all the time runs all the time, however long its environment is.
func TestProcessThatBeginsPrograms(t *testing.T) {
	environments(t)
	for n := range 50 { // so that some stand before those that are looked for, in whatever order
		t.Setenv("LONG_"+strconv.Itoa(n), strings.Repeat("x", 2000))
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(again, []byte(`exec /bin/sh "$0"`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, t.TempDir(), "touch ready; exec /bin/sh "+again)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	for range 5000 {
		if found, err := b.List(context.Background(), m.Pool); err != nil || len(found) != 1 || found[0].Status == prewarm.StatusStopped {
			t.Fatalf("found: %v, %v", found, err)
		}
	}
}

// A process that is destroyed while it begins does not begin.
func TestDestroyedWhileItBegins(t *testing.T) {
	environments(t)
	dir := t.TempDir()
	b := open(t, dir, "exec sleep 1000")
	for n := range 40 {
		m := member()
		if _, err := b.Create(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		for range n * 20 { // each time a little later
			_ = syscall.Getppid()
		}
		if err := b.Destroy(context.Background(), m); err != nil {
			t.Error(err)
		}
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		if env, err := os.ReadFile(path); err == nil && strings.Contains(string(env), localprocess.DirEnv+"="+dir) {
			t.Errorf("%s: it runs", path)
		}
	}
}

func TestProcessThatIgnoresTheSignalIsKilled(t *testing.T) {
	b, err := localprocess.New(localprocess.Config{
		Dir: t.TempDir(), Poll: 5 * time.Millisecond, Grace: 50 * time.Millisecond,
		Command: func(prewarm.Member) []string {
			return []string{"/bin/sh", "-c", `trap "" TERM; touch ready; while :; do sleep 1000; done`}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	pid := pidOf(t, b, m, "pid")
	if err := b.Destroy(context.Background(), m); err != nil || !dead(pid) {
		t.Errorf("destroyed: %v, dead: %v", err, dead(pid))
	}
}

func TestProcessesAreFoundAgain(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, serve)
	m := created(t, first)
	until(t, first, m, prewarm.StatusReady)
	second := open(t, dir, serve) // the program has restarted
	listing, err := second.List(context.Background(), m.Pool)
	if err != nil || len(listing) != 1 || listing[0].Resource != m.Resource || listing[0].Status != prewarm.StatusReady {
		t.Errorf("found %v, %v", listing, err)
	}
	if other, err := second.List(context.Background(), "b"); err != nil || len(other) != 0 {
		t.Errorf("of another pool: %v, %v", other, err)
	}
}

func TestNumberOfAnotherProcessIsNotTakenForOurs(t *testing.T) {
	environments(t)
	b := open(t, t.TempDir(), serve)
	m := created(t, b)
	until(t, b, m, prewarm.StatusReady)
	pid := pidOf(t, b, m, "pid")
	if err := os.WriteFile(filepath.Join(b.Dir(m), "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, b, m, prewarm.StatusStopped)
	if err := b.Destroy(context.Background(), m); err != nil { // and not us
		t.Error(err)
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// A machine that loses its power may keep the file and not the number in it. What was started has stopped, and can be destroyed; if it is
// there all the same, it is ended with its directory.
func TestNumberThatWasNotWritten(t *testing.T) {
	for _, text := range []string{"", "\x00\x00\x00", "x", "-1", "0", "1"} {
		b := open(t, t.TempDir(), serve)
		m := created(t, b)
		until(t, b, m, prewarm.StatusReady)
		pid, child := pidOf(t, b, m, "pid"), pidOf(t, b, m, "child")
		if err := os.WriteFile(filepath.Join(b.Dir(m), "pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, b, m, prewarm.StatusStopped)
		if err := b.Destroy(t.Context(), m); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := os.Stat(b.Dir(m)); err == nil {
			t.Errorf("%q: the directory is left", text)
		}
		for _, pid := range []int{pid, child} {
			if !dead(pid) && runtime.GOOS == "linux" {
				t.Errorf("%q: process %d is left", text, pid)
			}
		}
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	command := func(prewarm.Member) []string { return nil }
	for _, cfg := range []localprocess.Config{
		{Command: command}, {Dir: t.TempDir()}, {Dir: t.TempDir(), Command: command, Poll: -1}, {Dir: t.TempDir(), Command: command, Grace: -1},
	} {
		if _, err := localprocess.New(cfg); !errors.Is(err, invalid.Err) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	b, err := localprocess.New(localprocess.Config{Dir: t.TempDir(), Command: command})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(context.Background(), member()); !errors.Is(err, invalid.Err) {
		t.Errorf("no command: %v", err)
	}
}

// A pool of real processes, claimed, returned and shut down.
func TestPoolOfProcesses(t *testing.T) {
	b := open(t, t.TempDir(), serve)
	store := memory.NewMembers()
	p, err := prewarm.New(store, b, prewarm.Config{Spec: prewarm.Spec{Name: "sh", Version: "v1", Floor: 2}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	bounded, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	h, err := p.Claim(bounded, prewarm.Request{Owner: "ann", IfEmpty: prewarm.Wait})
	if err != nil {
		t.Fatal(err)
	}
	owner, err := os.ReadFile(filepath.Join(b.Dir(h.Member), "owner"))
	if err != nil || string(owner) != "ann" {
		t.Errorf("the owner is %q, %v", owner, err)
	}
	if err := p.Return(bounded, h.Member.ID); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	members, err := store.Members(context.Background(), prewarm.Query{Pool: "sh"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if err := b.Destroy(context.Background(), m); err != nil {
			t.Error(err)
		}
	}
}
