package acquirer

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
)

// RemoteConfig bounds what workers in other processes may ask for, see [Acquirer.Remote]. What a worker says beyond a bound is
// cut to it, but for what is refused. The zero value works.
type RemoteConfig struct {
	// Silence is how long a worker may go unheard that does not say it itself; one that does is held to MinSilence and
	// MaxSilence. Default to 30 seconds, 5 seconds and 10 minutes.
	Silence, MinSilence, MaxSilence time.Duration
	// MaxDelay bounds for how long a worker puts off the next attempt at a job. Defaults to 1 hour.
	MaxDelay time.Duration
	// MaxReleases is how often workers may give back a job as never handed out, in each of its rounds; beyond it they use up an
	// attempt, so that the job's own limits see it. Defaults to 10.
	MaxReleases int
}

func (c RemoteConfig) withDefaults() RemoteConfig {
	c.Silence = cmp.Or(c.Silence, 30*time.Second)
	c.MinSilence = cmp.Or(c.MinSilence, min(5*time.Second, c.Silence))
	c.MaxSilence = cmp.Or(c.MaxSilence, max(10*time.Minute, c.Silence))
	c.MaxDelay = cmp.Or(c.MaxDelay, time.Hour)
	c.MaxReleases = cmp.Or(c.MaxReleases, 10)
	return c
}

func (c RemoteConfig) validate() error {
	err := cmp.Or(
		invalid.Duration("Config.Remote.Silence", c.Silence), // before those that it bounds
		invalid.Duration("Config.Remote.MaxDelay", c.MaxDelay),
		invalid.Count("Config.Remote.MaxReleases", c.MaxReleases),
	)
	switch {
	case err != nil:
		return err
	case c.MinSilence < 0 || c.MinSilence > c.Silence:
		return invalid.New("Config.Remote.MinSilence", c.MinSilence, "must be above 0 and at most Silence, %s", c.Silence)
	case c.MaxSilence < c.Silence:
		return invalid.New("Config.Remote.MaxSilence", c.MaxSilence, "must be at least Silence, %s", c.Silence)
	}
	return invalid.Duration("Config.Remote.MaxSilence", c.MaxSilence)
}

// Identity is who a remote worker is, as the control plane knows it from the worker's registration and not from what it sends.
type Identity struct {
	Organization uuid.UUID
	// Worker is the worker's own id. Two workers of one id are one, and share its slots.
	Worker uuid.UUID
	// Slots bounds the jobs that the worker waits for and holds in one process of the control plane, together. Defaults to 1.
	Slots int
	// Types and Tags are what the worker may be used for. Nil: what it says, but a worker that is for one user's jobs only
	// (see [queue.ScopeUser]) must be registered as such.
	Types []string
	Tags  map[string]string
}

// Remote is an acquirer as one worker of another process may use it, with the method set of worker.Source: the worker is who
// the control plane says, whatever it sends, and costs nobody else more than [RemoteConfig] and its slots allow. An HTTP layer
// authenticates the worker, looks up its [Identity] and passes on what it has decoded.
type Remote struct {
	a  *Acquirer
	id Identity
}

// Remote returns the acquirer as a worker may use it. It costs nothing and may be made for each request.
func (a *Acquirer) Remote(id Identity) Remote {
	id.Slots = cmp.Or(id.Slots, 1)
	return Remote{a, id}
}

// AcquireJob is [Acquirer.AcquireJob], but that a worker waits for a while first, at most ten seconds, if its calls ended four times in
// a row or more just when its job came. [queue.ErrTooMany] if the worker waits for and holds as many jobs as it has slots.
func (r Remote) AcquireJob(ctx context.Context, request Request) (Job, error) {
	if request.Silence < 0 {
		return Job{}, invalid.New("Request.Silence", request.Silence, "must not be negative")
	}
	request.Organization, request.Worker = r.id.Organization, r.id.Worker
	request.Silence = r.a.cfg.Remote.silence(request.Silence)
	if r.id.Types != nil {
		request.Types = r.id.Types
	}
	switch owner := request.Tags[queue.TagOwner]; {
	case r.id.Tags != nil:
		request.Tags = r.id.Tags
	case owner != "" || request.Tags[queue.TagScope] == queue.ScopeUser:
		return Job{}, invalid.New("Request.Tags", owner, "must not say whose worker it is: that is for Identity.Tags")
	}
	slot, err := r.a.takeSlot(r.id)
	if err != nil {
		return Job{}, err
	}
	defer r.a.giveSlot(slot)
	if err := r.a.awaitHangUps(ctx, slot); err != nil {
		return Job{}, err
	}
	job, err := r.a.AcquireJob(ctx, request)
	if err == nil {
		r.a.mu.Lock()
		defer r.a.mu.Unlock()
		delete(r.a.hangUps, slot)
	}
	return job, err
}

// awaitHangUps lets a worker wait that was gone too often when its job came, until the process stops.
func (a *Acquirer) awaitHangUps(ctx context.Context, key workerKey) error {
	a.mu.Lock()
	d := a.hangUps.pause(key, a.clock.Now())
	a.mu.Unlock()
	if d <= 0 {
		return nil
	}
	timer := a.clock.NewTimer(d, "hang up")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.member.stopping:
	case <-timer.C:
	}
	return nil
}

// Renew is [Acquirer.Renew].
func (r Remote) Renew(ctx context.Context, report queue.Report) (canceled bool, err error) {
	if err := report.Validate(); err != nil {
		return false, err
	}
	report.Organization, report.Worker = r.id.Organization, r.id.Worker
	report.Silence = r.a.cfg.Remote.silence(report.Silence)
	return r.a.Renew(ctx, report)
}

// End is [Acquirer.End].
func (r Remote) End(ctx context.Context, e End) (Job, error) {
	if err := e.Validate(); err != nil {
		return Job{}, err
	}
	e.Organization, e.Worker, e.Process = r.id.Organization, r.id.Worker, uuid.Nil
	if e.Delay == 0 && !e.ReadyAt.IsZero() {
		e.Delay = max(0, r.a.clock.Until(e.ReadyAt))
	}
	e.ReadyAt, e.Delay = time.Time{}, min(e.Delay, r.a.cfg.Remote.MaxDelay)
	if e.Outcome == queue.OutcomeReleased {
		// A job that this process does not know is looked up; one that is not running any more has no more attempts to count.
		job, err := r.a.prove(ctx, e.Handout)
		if err == nil && r.a.releasedTooOften(ctx, &job) {
			e.Outcome = queue.OutcomeRequeued
		}
	}
	return r.a.End(ctx, e)
}

// releasedTooOften reports whether workers have given a job back as often as they may in this round. Each time is a hand-out that was
// no attempt. A round begins without attempts but with the fence of those before it, which the retry has kept; one that the history
// has dropped is no longer told apart, and the attempts since were many.
func (a *Acquirer) releasedTooOften(ctx context.Context, job *Job) bool {
	most, released := int64(a.cfg.Remote.MaxReleases), job.Fence-int64(job.Attempt)
	if released < most || job.Round == 0 {
		return released >= most
	}
	history, err := a.Attempts(ctx, job.ID)
	if err != nil { // then the end will hardly be stored either
		return false
	}
	for _, t := range history {
		if t.Round == job.Round && t.Outcome == queue.OutcomeRetried {
			released -= t.Fence
		}
	}
	return released >= most
}

// silence holds what a worker says to the bounds.
func (c RemoteConfig) silence(said time.Duration) time.Duration {
	if said == 0 {
		return c.Silence
	}
	return min(max(said, c.MinSilence), c.MaxSilence)
}

// workerKey is a worker of an organization.
type workerKey struct{ organization, worker uuid.UUID }

// takeSlot counts a wait of a remote worker.
func (a *Acquirer) takeSlot(id Identity) (workerKey, error) {
	key := workerKey{id.Organization, id.Worker}
	a.mu.Lock()
	defer a.mu.Unlock()
	if used := a.waits[key] + a.held[key]; used >= id.Slots {
		return key, fmt.Errorf("acquirer: a worker with %s waits for and holds %s: %w",
			text.Count(id.Slots, "slot", "slots"), text.Count(used, "job", "jobs"), queue.ErrTooMany)
	}
	a.waits[key]++
	return key, nil
}

func (a *Acquirer) giveSlot(key workerKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	count(a.waits, key, -1)
}

func count(counts map[workerKey]int, key workerKey, n int) {
	if counts[key] += n; counts[key] <= 0 {
		delete(counts, key)
	}
}
