package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// A client names what it had to give up, as an executor does.
func TestClientRunNamesWhatDoesNotReturn(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		store := &sticky{Store: f.store, method: "look for locked rows", release: make(chan struct{})}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: time.Second, ActivityFlush: time.Hour})
		f.must(err)
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		c.Activity(id(1), start)
		synctest.Wait()
		cancel()
		var late *executor.TimeoutError
		if err := <-done; !errors.As(err, &late) || !late.Stuck || late.Doing != "store: load" {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v to end", took)
		}
		close(store.release)
	})
}

// Two clients of one name do not share a registry.
func TestClientsOfOneName(t *testing.T) {
	f := newFleet(t)
	r := prometheus.NewRegistry()
	cfg := executor.ClientConfig{Registerer: r, Instance: "api", Logger: quiet}
	first, err := executor.NewClient(f.store, cfg)
	f.must(err)
	if c, err := executor.NewClient(f.store, cfg); err == nil || c != nil || !strings.Contains(err.Error(), "need different Instances") {
		t.Errorf("client %v, error %v", c, err)
	}
	first.Close()
	again, err := executor.NewClient(f.store, cfg)
	f.must(err)
	again.Close()
}
