package dormouse

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store"
)

// ErrAlreadyRun is returned by the second call of [Plane.Run].
var ErrAlreadyRun = errors.New("dormouse: Run was called before")

// Plane is a control plane over one store: its engines, and the verbs for what people want. It is safe for concurrent use,
// and any number of planes, in any number of processes, may work on one store.
type Plane struct {
	store store.Store
	// bound and client are what the verbs work with: the store and the executor's client, or within a transaction of the
	// host those of the transaction.
	bound    records
	client   *executor.Client
	reads    reads
	cfg      Config
	executor *executor.Executor
	acquirer *acquirer.Acquirer
	worker   *worker.Worker // nil if the workers are elsewhere
	ends     buildjobs.Ends
	missed   missed
	pools    pools
	machines machines
	onlooker *onlooker // nil if the plane acts
	ran      atomic.Bool
}

// records is the part of a store that verbs write through.
type records interface {
	lifecycle.Store
	lifecycle.Registry
}

// templates is the part of a store that reads one.
type templates interface {
	Template(ctx context.Context, id uuid.UUID) (lifecycle.Template, bool, error)
}

// New returns a plane over a store. It starts nothing and does not call the store; [Plane.Run] does. The error names the
// field of the configuration that cannot be used.
func New(s store.Store, cfg Config) (*Plane, error) {
	if s == nil {
		return nil, invalid.New("store", nil, "must not be nil")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Plane{store: s, bound: s, reads: newReads(s, cfg.Clock), cfg: cfg, missed: newMissed()}
	if err := p.makeOnlooker(); err != nil {
		return nil, err
	}
	if err := p.makeEngines(); err != nil {
		return nil, err
	}
	return p, nil
}

// makeEngines makes last what registers its metrics at once.
func (p *Plane) makeEngines() (err error) {
	if err = p.makeQueue(); err != nil {
		return err
	}
	if p.acquirer, err = acquirer.New(p.store, p.cfg.Pubsub, p.acquirerConfig()); err != nil {
		return err
	}
	if p.cfg.Build != nil {
		if p.worker, err = worker.New(p.acquirer, p.handle, p.workerConfig()); err != nil {
			return err
		}
	}
	cfg, err := p.executorConfig()
	if err != nil {
		return err
	}
	if p.executor, err = executor.New(p.store, cfg); err != nil {
		return err
	}
	p.client = p.executor.Client
	if err = errors.Join(p.makePools(), p.makeMachines()); err != nil {
		p.executor.Close()
		p.pools.close()
	}
	return err
}

func (p *Plane) acquirerConfig() acquirer.Config {
	cfg := acquirer.Config{
		Instance: p.cfg.Instance, Retention: p.cfg.Retention, Reserves: p.reserve(),
		Retry: buildjobs.MayRetry(p.store),
		Clock: p.cfg.Clock, Logger: p.cfg.Logger, Registerer: p.cfg.Registerer, Namespace: p.cfg.Namespace,
	}
	if lost := p.lostMachines(); lost != nil {
		cfg.Lost = map[string]acquirer.LostPolicy{lifecycle.JobType: lost}
	}
	if p.cfg.TuneAcquirer != nil {
		p.cfg.TuneAcquirer(&cfg)
	}
	host := cfg.Events
	cfg.Events = func(e queue.Event) {
		p.ends.Event(e)
		if e.Kind == queue.EventProcessLost {
			p.missed.suspect()
		}
		if host != nil {
			host(e)
		}
	}
	return cfg
}

func (p *Plane) workerConfig() worker.Config {
	cfg := worker.Config{
		Organization: p.cfg.Organization, Types: []string{lifecycle.JobType}, Slots: p.cfg.Workers,
		Clock: p.cfg.Clock, Logger: p.cfg.Logger,
	}
	if p.cfg.TuneWorker != nil {
		p.cfg.TuneWorker(&cfg)
	}
	return cfg
}

func (p *Plane) executorConfig() (executor.Config, error) {
	cfg := executor.Config{
		Precise: true, Builder: p.cfg.Builder, Retention: p.cfg.Retention,
		Clock: p.cfg.Clock, Logger: p.cfg.Logger,
		Registerer: p.cfg.Registerer, Namespace: p.cfg.Namespace, Instance: p.cfg.Instance,
	}
	if p.cfg.Notify != nil && p.cfg.Shadow == nil {
		cfg.Notifier = p.notify
	}
	if p.cfg.Audit != nil && p.cfg.Shadow == nil {
		cfg.Auditor = executor.Sink(p.cfg.Audit)
	}
	if p.cfg.TuneExecutor != nil {
		p.cfg.TuneExecutor(&cfg)
	}
	if cfg.Poster != nil {
		return cfg, invalid.New("Config.TuneExecutor", "Poster", "must not be set: the plane hands jobs out itself")
	}
	if len(p.cfg.Pools) > 0 {
		cfg.Builder = behindPeople{cfg.Builder}
	}
	announce, host := buildjobs.Announce(p.acquirer), cfg.Queued
	cfg.Queued = func(jobs []lifecycle.Job) {
		announce(jobs)
		if host != nil {
			host(jobs)
		}
	}
	return cfg, nil
}

// Organization is [Config.Organization]: the one whose workspaces, templates and jobs the plane reaches.
func (p *Plane) Organization() uuid.UUID { return p.cfg.Organization }

// workspaces and jobs are what the plane's own organization may ask for.
func (p *Plane) workspaces() executor.View { return p.client.Within(p.cfg.Organization) }
func (p *Plane) jobs() acquirer.View       { return p.acquirer.Within(p.cfg.Organization) }

// template reads a template of the plane's own organization.
func (p *Plane) template(ctx context.Context, id uuid.UUID) (t lifecycle.Template, err error) {
	return p.templateIn(ctx, p.bound, id)
}

// templateIn reads a template of the organization from a store.
func (p *Plane) templateIn(ctx context.Context, from templates, id uuid.UUID) (t lifecycle.Template, err error) {
	t, ok, err := from.Template(ctx, id)
	switch {
	case err != nil:
		return lifecycle.Template{}, fmt.Errorf("template %s: %w", id, err)
	case !ok || t.OrganizationID != p.cfg.Organization:
		return lifecycle.Template{}, &NotFoundError{"template", id}
	}
	return t, nil
}

// Migrate brings the tables of the store to the version that this library needs, and returns nil if they already are.
func (p *Plane) Migrate(ctx context.Context) error { return p.store.Migrate(ctx) }

// Executor returns the engine that decides, for what the plane has no verb for. Its Run belongs to the plane.
func (p *Plane) Executor() *executor.Executor { return p.executor }

// Acquirer returns the hand-off of jobs, for workers of other processes and for jobs of the host's own. Its Run belongs to
// the plane.
func (p *Plane) Acquirer() *acquirer.Acquirer { return p.acquirer }
