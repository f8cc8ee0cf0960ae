package workerpool

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
)

var now = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// pool is one that runs, with n idle workers of eight slots.
type pool struct {
	*workerpool.Pool
	set        *fleet
	jobs, kind int
	stop       func()
}

// nextType takes the types in turn.
func (p *pool) nextType() string {
	p.kind++
	return fmt.Sprint("t", p.kind%10)
}

func (p *pool) nextJob() workerpool.JobID {
	p.jobs++
	return workerpool.JobID(fmt.Sprintf("job-%d", p.jobs))
}

// list asks for a listing before its time.
func (p *pool) list() { p.ReleaseBrakes(time.Nanosecond) }

// relist has a listing taken in, and returns how long it held the lock at a stretch, in milliseconds.
func (p *pool) relist() float64 {
	number, before := p.set.listings.Load(), p.Stats().ListingHeld
	p.list()
	for p.set.listings.Load() == number || p.Stats().ListingHeld == before { // of two, no nanosecond is alike
		time.Sleep(time.Millisecond)
	}
	return float64(p.Stats().ListingHeld.Nanoseconds()) / 1e6
}

// fleet is a provider of n instances that exist already, and their executor. All commands succeed at once.
type fleet struct {
	n        int
	listings atomic.Int64
}

func (f *fleet) List(context.Context, map[string]string) ([]workerpool.Instance, error) {
	list := make([]workerpool.Instance, f.n)
	for i := range list {
		list[i] = workerpool.Instance{
			ID: workerpool.InstanceID(fmt.Sprintf("i-%017x", i)), Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255),
			Tags: map[string]string{"dormouse-pool": "default", "dormouse-type": fmt.Sprint("t", i%10)},
		}
	}
	f.listings.Add(1)
	return list, nil
}

func (f *fleet) Create(context.Context, workerpool.Order) (workerpool.Instance, error) {
	return workerpool.Instance{}, fmt.Errorf("nothing is created here")
}

func (f *fleet) Destroy(context.Context, workerpool.InstanceID) error { return nil }

func (f *fleet) SetTags(context.Context, workerpool.InstanceID, map[string]string) error { return nil }

func (f *fleet) Run(context.Context, workerpool.Target, string, io.Reader, io.Writer) error {
	return nil
}

// newPool returns a pool whose workers are all idle.
func newPool(ctx context.Context, n int) (*pool, error) {
	limits := workerpool.Limits{MaxWorkers: n, IdleTimeout: 1000 * time.Hour, PriceFactor: 100}
	for i := range 10 {
		limits.Types = append(limits.Types, workerpool.InstanceType{
			Name: fmt.Sprint("t", i), Price: 1 + float64(i)/10, Room: workerpool.Resources{Slots: 8},
		})
	}
	set := &fleet{n: n}
	p, err := workerpool.New(set, set, nil, workerpool.Config{
		Limits: limits, ProbesPerSecond: 1e6, OperationsPerSecond: 1e6, ProbeInterval: time.Hour, SyncInterval: time.Hour,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx)
	}()
	for ctx.Err() == nil && p.Counts().Workers[workerpool.Idle] < n {
		time.Sleep(10 * time.Millisecond)
	}
	return &pool{Pool: p, set: set, stop: func() { cancel(); <-ended }}, ctx.Err()
}

// bigPlan is 1,000 jobs and 10,000 workers, as full as they can be unless free.
func bigPlan(free bool) ([]workerpool.Job, []workerpool.Worker, workerpool.Limits) {
	l := workerpool.Limits{IdleTimeout: time.Minute, PriceFactor: 3, MaxWorkers: 10_000}
	for i := range 10 {
		l.Types = append(l.Types, workerpool.InstanceType{
			Name: fmt.Sprint("t", i), Price: 1 + float64(i)/10, Room: workerpool.Resources{Slots: 8, CPU: 8000 + int64(i)},
		})
	}
	workers := make([]workerpool.Worker, 10_000)
	for i := range workers {
		since := now.Add(-time.Duration(i*7919%10_000) * time.Second)
		w := workerpool.Worker{ID: workerpool.InstanceID(fmt.Sprint("i", i)), Type: l.Types[i%10].Name, State: workerpool.Idle, CreatedAt: since, IdleSince: since}
		used := workerpool.Resources{Slots: 8, CPU: int64(i % 4000)}
		if free {
			used.Slots = int64(i % 8)
		}
		if used.Slots > 0 {
			w.State = workerpool.Running
			w.Jobs = []workerpool.WorkerJob{{ID: workerpool.JobID(fmt.Sprint("r", i)), Needs: used, Phase: workerpool.Executing}}
		}
		workers[i] = w
	}
	jobs := make([]workerpool.Job, 1000)
	for i := range jobs {
		jobs[i] = workerpool.Job{
			ID: workerpool.JobID(fmt.Sprint("j", i)), Priority: i % 5, Since: now,
			Needs: workerpool.Resources{Slots: 1 + int64(i%3), CPU: int64(i % 2000)},
		}
	}
	return jobs, workers, l
}
