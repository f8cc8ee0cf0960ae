//go:build unix

package elastic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

// errTaken refuses to start a worker that is on another machine.
var errTaken = errors.New("the worker is not to be started here")

// Pool is the machines on which the workers run: processes of this machine.
type Pool struct {
	queue  *Queue
	folder string
	idle   time.Duration
	env    []string
	logger *slog.Logger
	// set is called with the pool while this process has it, and with nil afterwards.
	set func(*workerpool.Pool)
}

// NewPool returns the machines in a folder, which go when they were idle for a while. Env is added to the environment of workers.
func NewPool(q *Queue, folder string, idle time.Duration, env []string, set func(*workerpool.Pool)) *Pool {
	return &Pool{queue: q, folder: folder, idle: idle, env: env, logger: q.cfg.Logger, set: set}
}

// Run has the pool while no other process of this machine has it, and waits for that otherwise, until ctx ends. The machines go on
// without us: whoever is next finds them.
func (p *Pool) Run(ctx context.Context) error {
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(p.folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // which lets go of it; so does our death
	for syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
	return p.lead(ctx)
}

func (p *Pool) lead(ctx context.Context) error {
	provider, err := localprocess.New(filepath.Join(p.folder, "machines"), localprocess.Config{Env: p.env})
	if err != nil {
		return err
	}
	pool, err := workerpool.New(provider, provider, p.queue, workerpool.Config{
		Name: "controlplane",
		Limits: workerpool.Limits{
			Types:      []workerpool.InstanceType{{Name: "process", Price: 1, Room: workerpool.Resources{Slots: 2}}},
			MaxWorkers: max(1, (p.queue.cfg.Max+1)/2), MaxCreating: 4, IdleTimeout: p.idle, ScaleInDelay: p.idle,
		},
		ProbeInterval: time.Second, BootInterval: 100 * time.Millisecond, SyncInterval: 5 * time.Second,
		PollInterval: 500 * time.Millisecond, StaleTime: 5 * time.Second, OperationsPerSecond: 50, Logger: p.logger,
	})
	if err != nil {
		return fmt.Errorf("elastic workers: %w", err)
	}
	p.set(pool)
	defer p.set(nil)
	return pool.Run(ctx)
}
