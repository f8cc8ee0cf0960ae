package dormouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/jobqueue"
)

// Machines carry out builds outside of this process, and come and go with the builds that wait (Config.Machines). Of the planes
// that share a store one runs the machines at a time; the others set MachinesElsewhere.
type Machines struct {
	// Set creates and destroys the machines, and Executor runs commands on them. Required.
	Set      workerpool.InstanceSet
	Executor workerpool.Executor
	// Pool says what machines there may be. Required: Limits.Types.
	Pool workerpool.Config
	// Script returns what carries out a build: the standard input of the command that starts its job on a machine. It is
	// called once for each attempt. A script that ends with 0 has carried the build out. Required.
	Script func(b lifecycle.Job) []byte
	// Lost decides about a build whose machine is gone. Defaults to failing it: the machine may have done half of it.
	Lost acquirer.LostPolicy
}

// machines are those of a plane.
type machines struct {
	queue *jobqueue.Queue
	pool  *workerpool.Pool
}

func (c Config) validateMachines() error {
	m := c.Machines
	switch {
	case m == nil:
		return nil
	case c.Build != nil:
		return invalid.New("Config.Machines", "set", "must not be set together with Build: builds are carried out by one of them")
	case c.MachinesElsewhere:
		return invalid.New("Config.Machines", "set", "must not be set together with MachinesElsewhere")
	case m.Set == nil:
		return invalid.New("Config.Machines.Set", nil, "must not be nil")
	case m.Executor == nil:
		return invalid.New("Config.Machines.Executor", nil, "must not be nil")
	case m.Script == nil:
		return invalid.New("Config.Machines.Script", nil, "must not be nil")
	}
	return nil
}

// makeQueue makes the queue of the machines, whose policy for lost jobs the acquirer needs.
func (p *Plane) makeQueue() (err error) {
	if p.cfg.Machines == nil {
		return nil
	}
	p.machines.queue, err = jobqueue.New(jobqueue.Config{
		Organization: p.cfg.Organization, Types: []string{lifecycle.JobType}, Payload: p.script, Began: p.machineBegan, Ending: p.machineEnding,
		Clock: p.cfg.Clock, Logger: p.cfg.Logger,
	})
	return err
}

// lostMachines is the policy for builds whose worker's process was lost, nil for the usual one.
func (p *Plane) lostMachines() acquirer.LostPolicy {
	switch m := p.cfg.Machines; {
	case p.cfg.MachinesElsewhere:
		return jobqueue.LeftToPool()
	case m == nil:
		return nil
	case m.Lost != nil:
		return p.machines.queue.Lost(m.Lost)
	}
	return p.machines.queue.Lost(acquirer.FailLost())
}

// makeMachines makes the pool of machines.
func (p *Plane) makeMachines() (err error) {
	if p.cfg.Machines == nil {
		return nil
	}
	cfg := p.cfg.Machines.Pool
	if cfg.PollInterval == 0 {
		cfg.PollInterval = machinePoll
	}
	if cfg.Clock == nil {
		cfg.Clock = p.cfg.Clock
	}
	if cfg.Logger == nil {
		cfg.Logger = p.cfg.Logger
	}
	if cfg.Registerer == nil {
		cfg.Registerer, cfg.Namespace = p.cfg.Registerer, p.cfg.Namespace
	}
	p.machines.pool, err = workerpool.New(p.cfg.Machines.Set, p.cfg.Machines.Executor, p.machines.queue, cfg)
	var refused *invalid.Error
	if errors.As(err, &refused) { // the pool knows its Config by that name
		return invalid.As("Config.Machines.Pool"+strings.TrimPrefix(refused.Field, "Config"), err)
	}
	return err
}

// runMachines runs the machines until ctx ends. They go on without us: the next plane finds them.
func (p *Plane) runMachines(ctx context.Context) error {
	if p.machines.pool == nil {
		return nil
	}
	var failed failures
	parts := begin(ctx, failed.add, p.machines.pool.Run, func(ctx context.Context) error {
		return p.machines.queue.Run(ctx, p.acquirer, p.machines.pool)
	})
	<-ctx.Done()
	parts.end()
	return failed.all()
}

// Machines returns the pool of machines, for operators: its views, holds and drains. It is nil without Config.Machines. Its Run
// belongs to the plane.
func (p *Plane) Machines() *workerpool.Pool { return p.machines.pool }

func (p *Plane) script(j acquirer.Job) []byte {
	b, err := buildjobs.BuildOf(j)
	if err != nil {
		p.cfg.Logger.Error("dormouse: job of a build cannot be read", "job_id", j.ID, "error", err)
		return []byte("exit 70\n")
	}
	return p.cfg.Machines.Script(b)
}

func (p *Plane) machineBegan(ctx context.Context, j acquirer.Job) error {
	b, err := buildjobs.BuildOf(j)
	if err != nil {
		return err
	}
	_, err = p.executor.Update(ctx, b.WorkspaceID, lifecycle.JobStarted(b.ID))
	return settled(err)
}

// machineEnding writes the end of a build to its workspace, before the queue forgets the job.
func (p *Plane) machineEnding(ctx context.Context, id uuid.UUID, v acquirer.Verdict) error {
	status, final := map[queue.Outcome]lifecycle.JobStatus{
		queue.OutcomeSucceeded: lifecycle.JobSucceeded, queue.OutcomeFailed: lifecycle.JobFailed, queue.OutcomeCanceled: lifecycle.JobCanceled,
	}[v.Outcome]
	if !final {
		return nil
	}
	jobs, err := p.store.Jobs(ctx, queue.Filter{IDs: []uuid.UUID{id}})
	if err != nil || len(jobs) == 0 {
		return err
	}
	b, err := buildjobs.BuildOf(jobs[0])
	if err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	_, err = p.executor.Update(ctx, b.WorkspaceID, lifecycle.JobEnded(lifecycle.JobResult{BuildID: b.ID, Status: status, Message: v.Error}))
	p.pools.changed()
	return settled(err)
}

// settled ignores that a build is over already, or its workspace gone.
func settled(err error) error {
	if errors.Is(err, lifecycle.ErrStaleBuild) || errors.Is(err, lifecycle.ErrNotFound) {
		return nil
	}
	return err
}

// machinePoll is how often the lanes are looked at for machines, unless the host says otherwise.
const machinePoll = 2 * time.Second
