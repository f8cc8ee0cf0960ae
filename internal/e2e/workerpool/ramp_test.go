//go:build linux

package workerpool_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

var rampWorkers = flag.Int("ramp", 24, "workers of the ramp")

// gate holds jobs up until it is opened. Whoever reads a pipe that nobody writes waits, at no cost.
type gate struct{ path string }

func (b *bed) gate(name string) gate {
	g := gate{filepath.Join(b.dir, name)}
	if err := syscall.Mkfifo(g.path, 0o600); err != nil {
		b.Fatal(err)
	}
	return g
}

// open lets jobs through until the test ends.
func (g gate) open(t *testing.T) {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0) // not for writing alone: that would wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}

// burst posts jobs that wait at a gate.
func (b *bed) burst(name string, n int, g gate) {
	for i := range n {
		id := workerpool.JobID(fmt.Sprintf("%s-%d", name, i))
		ledger := filepath.Join(b.dir, "l", string(id))
		script := fmt.Sprintf("echo begin >> %s; : < %s; echo end >> %s; exit 5", ledger, g.path, ledger)
		if err := b.queue.save(id, fileJob{State: "waiting", Slots: 1, Script: script}); err != nil {
			b.Fatal(err)
		}
	}
}

// await waits until so many jobs have begun.
func (b *bed) await(n int) {
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		begun, err := os.ReadDir(filepath.Join(b.dir, "l"))
		if err != nil {
			b.Fatal(err)
		}
		if len(begun) == n {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d jobs have begun", len(begun), n)
		}
	}
}

// churn counts what comes and goes.
type churn struct {
	mu      sync.Mutex
	creates int
	early   []workerpool.Event // shutdowns while jobs waited
	ended   bool               // no job waits any more
}

func (c *churn) hear(e workerpool.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Kind != workerpool.EventState:
	case e.To == workerpool.Pending:
		c.creates++
	case e.To >= workerpool.Shutdown && !c.ended:
		c.early = append(c.early, e)
	}
}

// Real workers come with a burst of jobs, are used again by the next burst, and go when there is no more demand: as many are
// created as run at the peak, and none goes while jobs wait, however long those take.
func TestRampWithoutChurn(t *testing.T) {
	b, n := newBed(t), *rampWorkers
	if err := os.WriteFile(b.dir+"/ready", nil, 0o600); err != nil { // the manager is this process
		t.Fatal(err)
	}
	provider, err := localprocess.New(b.dir+"/i", localprocess.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var seen churn
	cfg := config()
	cfg.Limits.Types, cfg.Limits.MaxWorkers, cfg.Events = cfg.Limits.Types[:1], n, seen.hear
	pool, err := workerpool.New(provider, provider, b.queue, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()

	first, second := b.gate("first"), b.gate("second")
	b.burst("first", n, first)
	b.await(n)
	b.burst("second", n, second)
	time.Sleep(3 * cfg.Limits.IdleTimeout) // at the peak, with jobs in waiting
	first.open(t)
	b.await(2 * n)
	seen.mu.Lock()
	seen.ended = true
	seen.mu.Unlock()
	second.open(t)
	b.finish()
	b.check(2 * n)
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.creates != n {
		t.Errorf("%d workers were created for a peak of %d", seen.creates, n)
	}
	for _, e := range seen.early {
		t.Errorf("worker %s went from %s to %s for %s while jobs waited", e.Worker, e.From, e.To, e.Reason)
	}
}
