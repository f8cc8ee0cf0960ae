package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

func killer(out []byte) string {
	last := ""
	for _, found := range failed.FindAllSubmatch(out, -1) {
		last = string(found[1])
	}
	return last
}

var (
	errTooLong    = errors.New("took too long")
	errNotStarted = errors.New("the tests cannot be run")
)

// start runs some tests of a suite in a group of processes of their own, which ends with them. A process that there never was, because its
// file is gone or there is no memory, is errNotStarted; any other error is what the tests say.
func (b *bench) start(ctx context.Context, s *suite, names []string, limit time.Duration, env string, flags ...string) (out []byte, worked time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit+10*time.Second, errTooLong)
	defer cancel()
	flags = append(flags, "-test.run="+pattern(names), "-test.failfast", "-test.timeout="+limit.String())
	cmd := exec.CommandContext(ctx, s.binary, flags...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+b.overlay, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err = cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a killed test left behind
	}
	if p := cmd.ProcessState; p != nil {
		worked = p.UserTime() + p.SystemTime()
	}
	if cause := context.Cause(ctx); errors.Is(cause, errTooLong) {
		return out, worked, errTooLong
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil && cmd.Process == nil {
		err = fmt.Errorf("%w: %s: %w", errNotStarted, s.path, err)
	}
	return out, worked, err
}

// wasKilled reports whether somebody has ended a process that way, other than [bench.start].
func wasKilled(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
