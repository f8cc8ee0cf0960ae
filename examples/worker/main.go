// Command worker shows workers in processes of their own: a control plane hands out jobs over plain HTTP with long
// polling, and workers fetch, report and end them through a client of sixty lines.
//
//	go run ./examples/worker
//
// starts one control plane and three workers as real processes and prints what happens: one worker is killed in the
// middle of a job, another one is asked to stop and drains, and every job still ends, exactly once.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	role := flag.String("role", "", "control or worker; empty runs the whole show")
	name := flag.String("name", "", "of a worker, for people")
	address := flag.String("address", "", "of the control plane")
	jobs := flag.Int("jobs", 24, "how many jobs the control plane has to hand out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case "control":
		err = runControl(ctx, *jobs)
	case "worker":
		err = runWorker(ctx, *name, "http://"+*address)
	default:
		err = show(ctx, *jobs)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// show starts everybody and makes trouble.
func show(ctx context.Context, jobs int) error {
	names, tokens, all := []string{"ada", "bob", "cid"}, make(map[string]string), ""
	for _, name := range names {
		tokens[name] = rand.Text()
		all += " " + name + "=" + tokens[name]
	}
	control, lines, err := child(ctx, tokensVariable+"="+all, "-role=control", fmt.Sprintf("-jobs=%d", jobs))
	if err != nil {
		return err
	}
	defer control.end()
	address, err := lines.ReadString('\n') // the first line says where it listens
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	address = address[:len(address)-1]
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(os.Stdout, lines)
	}()

	workers := make(map[string]*process)
	for _, name := range names {
		w, out, err := child(ctx, tokenVariable+"="+tokens[name], "-role=worker", "-name="+name, "-address="+address)
		if err != nil {
			return err
		}
		defer w.end()
		go func() { _, _ = io.Copy(os.Stdout, out) }()
		workers[name] = w
	}
	wait(ctx, 2500*time.Millisecond)
	fmt.Println("show      bob is killed: nobody hears of it, its jobs fall silent")
	_ = workers["bob"].cmd.Process.Kill()
	wait(ctx, 1500*time.Millisecond)
	fmt.Println("show      cid is asked to stop: it takes no new job and ends what it has")
	_ = workers["cid"].cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// process is a child of this one.
type process struct {
	cmd *exec.Cmd
	end func()
}

// child runs this program again in another role, with one more variable; what it prints can be read.
func child(ctx context.Context, variable string, args ...string) (*process, *bufio.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), variable)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	p := &process{cmd: cmd, end: sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})}
	return p, bufio.NewReader(out), nil
}
