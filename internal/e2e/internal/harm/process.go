package harm

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// orderEnv makes the test binary a process, and holds what it is told.
const orderEnv = "DORMOUSE_TEST_ORDER"

// Main is the TestMain of a package whose processes have one role: it runs the tests or, in a process that [Start] began,
// the role.
func Main[Order any](m *testing.M, role func(Order) error) {
	text := os.Getenv(orderEnv)
	if text == "" {
		flag.Parse()
		os.Exit(m.Run())
	}
	var order Order
	err := json.Unmarshal([]byte(text), &order)
	if err == nil {
		err = role(order)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a process of a test. Its standard input ends when the test does, however that ends.
type Process struct {
	In  io.WriteCloser
	cmd *exec.Cmd
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits until the process has ended.
func (p *Process) Wait() { _ = p.cmd.Wait() }

// Start begins a process with an order, which must be what the role of its package takes.
func Start(t *testing.T, order any) *Process {
	t.Helper()
	return StartProgram(t, os.Args[0], order)
}

// StartProgram is Start for the test binary of the same package at another commit.
func StartProgram(t *testing.T, program string, order any) *Process {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), orderEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &Process{in, cmd}
}

// Pause waits, and reports whether ctx is alive.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
