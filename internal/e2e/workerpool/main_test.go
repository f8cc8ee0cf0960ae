//go:build linux

// Package workerpool_test lets a manager of real local workers be killed again and again.
package workerpool_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// managerEnv names the directory of a manager: the test's program becomes one.
const managerEnv = "DORMOUSE_TEST_WORKERPOOL"

func TestMain(m *testing.M) {
	holdUp()
	localprocess.Init()
	if dir := os.Getenv(managerEnv); dir != "" {
		if err := manage(dir); err != nil {
			fmt.Fprintln(os.Stderr, "manager:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// slowEnv lets one start of a job in four take longer than a pool waits for what was begun before it.
const slowEnv = "DORMOUSE_TEST_SLOW_STARTS"

// staleTime is that of all pools here: what a killed manager has begun arrives by then on a busy machine too.
const staleTime = 5 * time.Second

// holdUp delays a start before the runner knows of it, as a machine does that has no processor or disk to spare.
func holdUp() {
	if filepath.Base(os.Args[0]) == runner.Name && len(os.Args) > 1 && os.Args[1] == "start" && os.Getenv(slowEnv) != "" && rand.IntN(4) == 0 {
		time.Sleep(staleTime + 2*time.Second)
	}
}

// manage runs a pool until the process is told to end.
func manage(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := os.WriteFile(dir+"/ready", nil, 0o600); err != nil {
		return err
	}
	if os.Getenv(standbyEnv) != "" {
		release, err := lead(ctx, dir+"/leader")
		if err != nil {
			return nil //nolint:nilerr // told to end before it was its turn
		}
		defer release()
	}
	provider, err := localprocess.New(dir+"/i", localprocess.Config{})
	if err != nil {
		return err
	}
	if os.Getenv(handOffEnv) != "" {
		return manageHandOff(ctx, dir, provider)
	}
	pool, err := workerpool.New(provider, provider, fileQueue{dir + "/q"}, config())
	if err != nil {
		return err
	}
	return pool.Run(ctx)
}

// standbyEnv lets managers wait until no other one leads.
const standbyEnv = "DORMOUSE_TEST_STANDBY"

// lead waits until it alone has the lock. The kernel lets go of it when the process dies, whatever it dies of.
func lead(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return func() { f.Close() }, nil
}

// config has everything happen within seconds.
func config() workerpool.Config {
	return workerpool.Config{
		Limits: workerpool.Limits{
			Types: []workerpool.InstanceType{
				{Name: "one", Price: 1, Room: workerpool.Resources{Slots: 1}},
				{Name: "three", Price: 2, Room: workerpool.Resources{Slots: 3}},
			},
			MaxWorkers: 8, IdleTimeout: 300 * time.Millisecond, ScaleInDelay: 100 * time.Millisecond, PriceFactor: 3,
		},
		ProbeInterval: 150 * time.Millisecond, BootInterval: 50 * time.Millisecond, SyncInterval: 400 * time.Millisecond,
		PollInterval: 200 * time.Millisecond, OperationsPerSecond: 200, ProbesPerSecond: 200,
		StaleTime: staleTime,
		Logger:    slog.New(slog.DiscardHandler),
	}
}
