//go:build linux

package runner_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool/runner"
)

func TestMain(m *testing.M) {
	runner.Init(runner.Config{})
	os.Exit(m.Run())
}

// call runs the runner as a process of its own, as an executor does.
func call(t *testing.T, dir, stdin string, args ...string) (string, error) {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := command(t, dir, stdin, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Logf("%v: %s", args, stderr.String())
		return out.String(), err
	}
	return out.String(), nil
}

func command(t *testing.T, dir, stdin string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{
		Path: exe, Args: append([]string{runner.Name}, args...), Env: append(os.Environ(), runner.DirEnv+"="+dir), Stdin: strings.NewReader(stdin),
	}
}

// until calls list until it says what is wanted. The supervisor is another process: its end can only be waited for.
func until(t *testing.T, dir, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if got, _ = call(t, dir, "", "list"); got == want {
			return
		}
	}
	t.Fatalf("list says %q, want %q", got, want)
}

func TestJobsLife(t *testing.T) {
	dir := t.TempDir()
	if _, err := call(t, dir, "exit 3", "start", "three"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "three exit 3\n")
	if _, err := call(t, dir, "", "forget", "three"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "")
	if _, err := call(t, dir, "echo hello; kill -9 $$", "start", "dies"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "dies exit 137\n")
	if out, err := os.ReadFile(filepath.Join(dir, "dies", "output")); err != nil || string(out) != "hello\n" {
		t.Errorf("output %q, %v", out, err)
	}
	if _, err := call(t, dir, "kill -9 $$", "start", "dies"); err != nil { // again: the first try is dropped
		t.Fatal(err)
	}
	until(t, dir, "dies exit 137\n")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || entries[0].Name() != ".starting" || entries[1].Name() != "dies" {
		t.Errorf("what is forgotten is left: %v, %v", entries, err)
	}
	for _, args := range [][]string{{}, {"start"}, {"start", "../x"}, {"start", ".x"}, {"fly", "x"}, {"list", "x"}} {
		if _, err := call(t, dir, "", args...); err == nil {
			t.Errorf("%v was not refused", args)
		}
	}
}

// A kill reaches the children of a script too, and a second start of a job that runs does nothing.
func TestKillReachesTheWholeJob(t *testing.T) {
	dir := t.TempDir()
	script := `echo begun >> ` + filepath.Join(dir, "ledger") + `
		trap 'exit 9' TERM
		sleep 1000 & sh -c 'sleep 1000; true' & wait`
	for range 2 {
		if _, err := call(t, dir, script, "start", "long"); err != nil {
			t.Fatal(err)
		}
	}
	mark := filepath.Join(dir, "long", "mark")
	for len(runner.Holders(mark)) < 5 { // the supervisor, the script, and what it started
		until(t, dir, "long\n")
	}
	if _, err := call(t, dir, "", "forget", "long"); err == nil {
		t.Error("a job that runs was forgotten")
	}
	if out, err := call(t, dir, "", "kill", "long"); err != nil || out != "long\n" {
		t.Fatalf("kill: %q, %v", out, err)
	}
	until(t, dir, "long exit 9\n")
	for len(runner.Holders(mark)) > 0 {
		until(t, dir, "long exit 9\n")
	}
	if out, err := os.ReadFile(filepath.Join(dir, "ledger")); err != nil || string(out) != "begun\n" {
		t.Errorf("ledger %q, %v", out, err)
	}
}

// What a job leaves behind when its script ends is ended.
func TestNothingOutlivesAJob(t *testing.T) {
	dir := t.TempDir()
	if _, err := call(t, dir, "setsid sleep 1000 & exit 0", "start", "messy"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "messy exit 0\n")
	for len(runner.Holders(filepath.Join(dir, "messy", "mark"))) > 0 {
		until(t, dir, "messy exit 0\n")
	}
}

// A supervisor that is killed leaves a job of which nobody saw the end.
func TestSupervisorKilled(t *testing.T) {
	dir := t.TempDir()
	if _, err := call(t, dir, "sleep 1000", "start", "orphan"); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(dir, "orphan", "mark")
	for len(runner.Holders(mark)) < 2 {
		until(t, dir, "orphan\n")
	}
	runner.Signal(mark, 9)
	until(t, dir, "orphan stale\n")
	if _, err := call(t, dir, "exit 0", "start", "orphan"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "orphan exit 0\n")
}

// A machine that loses its power may keep an empty file of a job's end, and the job's directory. The others are listed all the same.
func TestEndThatWasNotWritten(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"whole", "empty", "garbage"} {
		if _, err := call(t, dir, "exit 3", "start", id); err != nil {
			t.Fatal(err)
		}
	}
	until(t, dir, "empty exit 3\ngarbage exit 3\nwhole exit 3\n")
	for id, text := range map[string]string{"empty": "", "garbage": "\x00\x00 7"} {
		if err := os.WriteFile(filepath.Join(dir, id, "exit"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	until(t, dir, "empty stale\ngarbage stale\nwhole exit 3\n")
	if _, err := call(t, dir, "exit 4", "start", "empty"); err != nil {
		t.Fatal(err)
	}
	until(t, dir, "empty exit 4\ngarbage stale\nwhole exit 3\n")
}

// Who starts a job is none of its processes: that one ends at once, and what it leaves behind is ended, must not reach the caller,
// who would take the job for one that did not begin, and run it again.
func TestStartOutlivesAShortJob(t *testing.T) {
	dir := t.TempDir()
	var calls sync.WaitGroup
	for i := range 60 {
		calls.Go(func() {
			id := fmt.Sprint("short", i)
			if out, err := call(t, dir, "", "start", id); err != nil {
				t.Errorf("start of %s: %q, %v", id, out, err)
			}
		})
	}
	calls.Wait()
	for i := range 60 {
		for exit := filepath.Join(dir, fmt.Sprint("short", i), "exit"); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(exit); err == nil || t.Context().Err() != nil {
				break
			}
		}
	}
}

// heldUp is a command that reads of a job before it changes anything, and hangs there until it is told to go on.
func heldUp(t *testing.T, dir, id, stdin, verb string) (goOn func()) {
	t.Helper()
	gate := filepath.Join(dir, id, "exit")
	if err := errors.Join(os.MkdirAll(filepath.Dir(gate), 0o700), os.RemoveAll(gate), syscall.Mkfifo(gate, 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, dir, stdin, verb, id)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var w *os.File
	for err := error(syscall.ENXIO); errors.Is(err, syscall.ENXIO); { // nobody reads
		if w, err = os.OpenFile(gate, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil && !errors.Is(err, syscall.ENXIO) {
			t.Fatal(err)
		}
	}
	if err := errors.Join(cmd.Process.Signal(syscall.SIGSTOP), os.Remove(gate), w.Close()); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGCONT), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}
}

// waits calls the runner beside a command that is held up, and returns its answer, which must come after that command has gone on.
func waits(t *testing.T, dir, stdin string, goOn func(), args ...string) (out string) {
	t.Helper()
	answer := make(chan string, 1)
	go func() {
		out, _ := call(t, dir, stdin, args...)
		answer <- out
	}()
	for len(runner.Holders(filepath.Join(dir, ".starting"))) < 2 { // it has come as far
		select {
		case out := <-answer:
			t.Errorf("%v: %q beside a command that has not ended", args, out)
			goOn()
			return out
		default:
		}
	}
	goOn()
	return <-answer
}

// A start that is held up (by its disk, for want of a processor) is waited for: a list that lacks its job would let the pool begin the job
// elsewhere, and then the start would begin it here, too.
func TestAListWaitsForStartsUnderWay(t *testing.T) {
	dir := t.TempDir()
	if out := waits(t, dir, "", heldUp(t, dir, "slow", "sleep 1000", "start"), "list"); out != "slow\n" {
		t.Errorf("list says %q after the start", out)
	}
	for runner.Signal(filepath.Join(dir, "slow", "mark"), syscall.SIGKILL) > 0 {
	}
}

// A forget that is held up drops what it has seen, not what is begun under the same name since: that would leave no trace, and be run again.
func TestAStartWaitsForAForgetUnderWay(t *testing.T) {
	dir := t.TempDir()
	waits(t, dir, "exit 3", heldUp(t, dir, "again", "", "forget"), "start", "again")
	until(t, dir, "again exit 3\n")
}
