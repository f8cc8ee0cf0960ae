package dormouse

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Tx are the verbs of a plane within a transaction of the host, so that a row of the host and a workspace are one commit. See
// [Plane.WithTx]; each verb is that of the plane. It is for one goroutine at a time.
type Tx struct {
	p         *Plane
	store     store.Tx
	jobs      []acquirer.Job
	committed func()
}

// WithTx returns the verbs within a transaction of the host, through what WithTx of the SQL stores returns:
//
//	tx, err := db.BeginTx(ctx, nil)
//	defer tx.Rollback()
//	t, err := plane.WithTx(dormouseStore.WithTx(tx))
//	ws, err := t.Create(ctx, dormouse.NewWorkspace{..})
//	_, err = tx.ExecContext(ctx, "INSERT INTO desks ..", ws.ID)
//	err = tx.Commit()
//	t.Committed()
//
// Nobody sees anything of it before the commit, and a rollback leaves nothing. A verb that fails has no effect, and the transaction may
// go on. What the transaction holds locked it holds until its end, and Config.Builder is asked within it: keep it short.
func (p *Plane) WithTx(s store.Tx) (*Tx, error) {
	if s == nil {
		return nil, invalid.New("store", nil, "must not be nil")
	}
	t := &Tx{store: s}
	t.p = &Plane{store: p.store, bound: s, cfg: p.cfg, executor: p.executor, acquirer: p.acquirer}
	t.p.client, t.committed = p.client.Over(s)
	return t, nil
}

// Committed starts at once what the transaction has made ready: call it after the commit, and only then. Without it, jobs and
// events are found when the engines look by themselves: in seconds, with the defaults.
func (t *Tx) Committed() {
	t.store.Committed()
	t.committed()
	t.p.acquirer.Announce(t.jobs...)
	t.jobs = nil
}

// Enqueue stores jobs of the host's own, for workers of [Plane.Acquirer].
func (t *Tx) Enqueue(ctx context.Context, postings ...acquirer.Posting) ([]acquirer.Job, error) {
	jobs, err := t.p.acquirer.EnqueueTx(ctx, t.store, postings...)
	t.jobs = append(t.jobs, jobs...)
	return jobs, err
}

// PutTemplate is [Plane.PutTemplate].
func (t *Tx) PutTemplate(ctx context.Context, template Template, options ...Option) (Template, error) {
	return t.p.PutTemplate(ctx, template, options...)
}

// PutOwner is [Plane.PutOwner].
func (t *Tx) PutOwner(ctx context.Context, o Owner, options ...Option) (Owner, error) {
	return t.p.PutOwner(ctx, o, options...)
}

// Create is [Plane.Create].
func (t *Tx) Create(ctx context.Context, n NewWorkspace, options ...Option) (Workspace, error) {
	return t.p.Create(ctx, n, options...)
}

// Get is [Plane.Get]; it sees what the transaction has written.
func (t *Tx) Get(ctx context.Context, id uuid.UUID) (Workspace, error) { return t.p.Get(ctx, id) }

// Update is [Plane.Update].
func (t *Tx) Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb, options ...Option) (Workspace, error) {
	return t.p.Update(ctx, id, v, options...)
}

// Start is [Plane.Start].
func (t *Tx) Start(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return t.p.Start(ctx, id, options...)
}

// Restart is [Plane.Restart].
func (t *Tx) Restart(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return t.p.Restart(ctx, id, options...)
}

// Stop is [Plane.Stop].
func (t *Tx) Stop(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return t.p.Stop(ctx, id, options...)
}

// Delete is [Plane.Delete].
func (t *Tx) Delete(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return t.p.Delete(ctx, id, options...)
}

// SetSchedule is [Plane.SetSchedule].
func (t *Tx) SetSchedule(ctx context.Context, id uuid.UUID, s Schedule, options ...Option) (Workspace, error) {
	return t.p.SetSchedule(ctx, id, s, options...)
}

// SetTTL is [Plane.SetTTL].
func (t *Tx) SetTTL(ctx context.Context, id uuid.UUID, ttl time.Duration, options ...Option) (Workspace, error) {
	return t.p.SetTTL(ctx, id, ttl, options...)
}

// Extend is [Plane.Extend].
func (t *Tx) Extend(ctx context.Context, id uuid.UUID, deadline time.Time, options ...Option) (Workspace, error) {
	return t.p.Extend(ctx, id, deadline, options...)
}

// Hold is [Plane.Hold].
func (t *Tx) Hold(ctx context.Context, id uuid.UUID, h Hold, options ...Option) (Workspace, error) {
	return t.p.Hold(ctx, id, h, options...)
}

// Wake is [Plane.Wake].
func (t *Tx) Wake(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return t.p.Wake(ctx, id, options...)
}
