package workerpool_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// world is a pool with a provider, a queue and what it told.
type world struct {
	*testing.T
	*Pool
	provider *workerpooltest.Provider
	queue    *workerpooltest.Queue
	stop     func()

	mu     sync.Mutex
	events []Event
}

// setup is what a test changes before the pool runs.
type setup struct {
	cfg     Config
	knobs   workerpooltest.Knobs
	noQueue bool
	// before runs when the provider is there and the pool is not.
	before func(w *world)
	// dirty: violations are what the test is about.
	dirty bool
}

// inWorld runs a test in a bubble, with a pool that runs.
func inWorld(t *testing.T, s setup, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, provider: workerpooltest.NewProvider(nil), queue: workerpooltest.NewQueue(nil)}
		w.provider.Configure(func(k *workerpooltest.Knobs) { *k = s.knobs })
		if s.before != nil {
			s.before(w)
		}
		w.begin(s)
		defer w.finish(s)
		test(t, w)
	})
}

// begin makes a pool and runs it.
func (w *world) begin(s setup) {
	if s.cfg.Limits.Types == nil {
		s.cfg.Limits.Types = []InstanceType{small()}
	}
	s.cfg.Logger = slog.New(slog.DiscardHandler)
	s.cfg.Events = func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}
	var queue Queue = w.queue
	if s.noQueue {
		queue = nil
	}
	p, err := New(w.provider, w.provider, queue, s.cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Pool = p
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

func (w *world) finish(s setup) {
	w.stop()
	if !s.dirty {
		for _, v := range slices.Concat(w.provider.Violations(), w.queue.Violations()) {
			w.Errorf("violation: %s", v)
		}
	}
	if w.Failed() {
		for _, r := range w.queue.Records() {
			w.Logf("%s %s %s %s %s", r.At.Format("15:04:05.000"), r.Job, r.Kind, r.Worker, r.Reason)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events[max(0, len(w.events)-60):] {
			w.Logf("%s %s %v", e.At.Format("15:04:05.000"), e.Kind, e.LogValue())
		}
	}
}

// restart ends the pool and runs another one on the same provider and queue.
func (w *world) restart(s setup) {
	w.stop()
	w.begin(s)
}

// sleep lets time pass, and everything happen that belongs to it.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// post adds jobs that wait.
func (w *world) post(ids ...JobID) {
	for _, id := range ids {
		w.queue.Add(Job{ID: id})
	}
	w.Wake()
	synctest.Wait()
}

func names(prefix string, n int) []JobID {
	list := make([]JobID, n)
	for i := range list {
		list[i] = JobID(fmt.Sprintf("%s%04d", prefix, i))
	}
	return list
}

// want compares counts.
func (w *world) want(s State, n int) {
	w.Helper()
	if got := w.Counts().Workers[s]; got != n {
		w.Fatalf("%d workers are %s, want %d; all: %v", got, s, n, w.Counts())
	}
}

// told returns the events of a kind.
func (w *world) told(kind EventKind) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Event
	for _, e := range w.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// first returns the first worker.
func (w *world) first() Worker {
	w.Helper()
	all := w.Workers()
	if len(all) == 0 {
		w.Fatal("no worker")
	}
	return all[0]
}

// adopted is an instance of this pool that another process created.
func adopted(id InstanceID, typeName string, more ...string) Instance {
	in := Instance{ID: id, Address: "10.9.9.9", ProviderType: typeName, Tags: map[string]string{"dormouse-pool": "default", "dormouse-type": typeName}}
	for i := 0; i < len(more); i += 2 {
		in.Tags["dormouse-"+more[i]] = more[i+1]
	}
	return in
}
