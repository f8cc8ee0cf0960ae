//go:build linux

package workerpool_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// bed is a directory with instances (i), a queue (q) and what jobs have written (l).
type bed struct {
	*testing.T
	dir   string
	queue fileQueue
	env   []string // of the managers
}

// newBed makes a bed whose managers have some variables set. What it does is mostly wait, so others run beside it.
func newBed(t *testing.T, variables ...string) *bed {
	t.Parallel()
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, dir: dir, queue: fileQueue{dir + "/q"}}
	for _, v := range variables {
		b.env = append(b.env, v+"=1")
	}
	for _, sub := range []string{"q", "l", "i"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return b
}

// post adds a job that writes when it begins and ends.
func (b *bed) post(id workerpool.JobID, slots int64, d time.Duration) {
	ledger := filepath.Join(b.dir, "l", string(id))
	script := fmt.Sprintf("echo begin >> %s; sleep %.2f; echo end >> %s; exit 5", ledger, d.Seconds(), ledger)
	if err := b.queue.save(id, fileJob{State: "waiting", Slots: slots, Script: script}); err != nil {
		b.Fatal(err)
	}
}

// manager starts one.
func (b *bed) manager() *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), managerEnv+"="+b.dir), b.env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return cmd
}

// count returns the jobs that have not ended.
func (b *bed) open() int {
	all, err := b.queue.all()
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, j := range all {
		if j.State != "ended" {
			n++
		}
	}
	return n
}

// harm is how long managers are killed for.
func harm() time.Duration {
	if os.Getenv("CI") != "" {
		return 20 * time.Second
	}
	return 6 * time.Second
}

// A manager is killed at any time, again and again, while jobs come. After the last one has done its work every job has
// run exactly once, no instance is there, and no process is left.
func TestManagerKilledAtAnyTime(t *testing.T) {
	b := newBed(t)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	jobs, kills := 0, 0
	for end := time.Now().Add(harm()); time.Now().Before(end); kills++ {
		for range r.IntN(8) {
			b.post(workerpool.JobID(fmt.Sprint("job-", jobs)), int64(1+r.IntN(2)), time.Duration(r.IntN(600))*time.Millisecond)
			jobs++
		}
		m := b.manager()
		time.Sleep(time.Duration(r.IntN(900)) * time.Millisecond)
		_ = m.Process.Kill()
		_ = m.Wait()
	}
	_ = os.Remove(b.dir + "/ready")
	m := b.manager()
	b.finish()
	b.end(m)
	t.Logf("%d jobs, %d managers killed", jobs, kills)
	b.check(jobs)
}

// Of two managers one acts and the other stands by. Whichever is killed, each job runs once: the one that takes over finds
// the workers of the one before.
func TestStandbyTakesOver(t *testing.T) { standby(newBed(t, standbyEnv)) }

// A start that a killed manager has begun, and that is slow, ends with the manager, or is waited for: its job is not begun by it after
// the next manager has begun it elsewhere.
func TestStandbyTakesOverFromSlowStarts(t *testing.T) { standby(newBed(t, standbyEnv, slowEnv)) }

func standby(b *bed) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	managers := []*exec.Cmd{b.manager(), b.manager()}
	jobs, kills := 0, 0
	for end := time.Now().Add(harm()); time.Now().Before(end); kills++ {
		for range r.IntN(8) {
			b.post(workerpool.JobID(fmt.Sprint("job-", jobs)), int64(1+r.IntN(2)), time.Duration(r.IntN(600))*time.Millisecond)
			jobs++
		}
		time.Sleep(time.Duration(r.IntN(900)) * time.Millisecond)
		i := r.IntN(2)
		_ = managers[i].Process.Kill()
		_ = managers[i].Wait()
		_ = os.Remove(b.dir + "/ready")
		managers[i] = b.manager()
	}
	b.finish()
	b.end(managers...)
	b.Logf("%d jobs, %d managers killed", jobs, kills)
	b.check(jobs)
}

// finish waits until every job has ended and every instance has gone.
func (b *bed) finish() {
	t := b.T
	provider, err := localprocess.New(b.dir+"/i", localprocess.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		list, err := provider.List(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		open := b.open()
		_, notReady := os.Stat(b.dir + "/ready")
		if open == 0 && len(list) == 0 && notReady == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs have not ended, %d instances are left", open, len(list))
		}
	}
}

// end tells managers to end, which they do well.
func (b *bed) end(managers ...*exec.Cmd) {
	for _, m := range managers {
		_ = m.Process.Signal(syscall.SIGTERM)
		if err := m.Wait(); err != nil {
			b.Errorf("the last manager: %v", err)
		}
	}
}

func (b *bed) check(jobs int) {
	all, err := b.queue.all()
	if err != nil || len(all) != jobs {
		b.Fatalf("%d jobs, %v", len(all), err)
	}
	for id, j := range all {
		text, err := os.ReadFile(filepath.Join(b.dir, "l", string(id)))
		if err != nil || string(text) != "begin\nend\n" || j.Exit != 5 {
			b.Errorf("%s: ledger %q, exit %d, released %d times, %v", id, text, j.Exit, j.Released, err)
		}
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range processes {
		text, err := os.ReadFile(filepath.Join("/proc", p.Name(), "environ"))
		if err == nil && strings.Contains(string(text), managerEnv+"="+b.dir) {
			b.Errorf("process %s is left", p.Name())
		}
	}
	if left := runner.Holders(filepath.Join(b.dir, "i")); len(left) != 0 {
		b.Errorf("processes %v are left", left)
	}
}
