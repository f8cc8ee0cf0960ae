package workerpool

import (
	"context"
	"maps"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

// destroy asks the provider to end an instance. The caller holds the lock.
func (p *Pool) destroy(r *record) {
	id := r.ID
	p.once(task{worker: r, kind: "destroy"}, func(ctx context.Context) {
		if p.opPace.wait(ctx) != nil {
			return
		}
		err := p.bounded(ctx, callOf("destroy", string(id)), p.cfg.OperationTimeout, func(ctx context.Context) error { return p.set.Destroy(ctx, id) })
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.metrics.called("destroy", err)
		if err != nil && !isAbsent(err) {
			p.stats.DestroyErrors++
			p.cfg.Logger.Warn("destroy failed", "worker_id", id, "error", err)
		}
		if r.State == Shutdown {
			p.step(r, Destroyed{Failed: err != nil, Absent: isAbsent(err)})
		}
		p.syncSoon()
	})
}

// saveTags writes what changes of a worker into its tags. The caller holds the lock.
func (p *Pool) saveTags(r *record) {
	r.tags.dirty, r.tags.cut = true, false
	if r.ID == "" || r.tags.saving || r.State >= Shutdown || !p.running {
		return // a pending worker's are saved when the next listing shows others
	}
	r.tags.saving = true
	id := r.ID
	if !p.run(func(ctx context.Context) {
		for failures := 0; ; failures++ {
			p.mu.Lock()
			tags := p.tagNames.ofState(r)
			r.tags.dirty = false
			p.mu.Unlock()
			err := p.opPace.wait(ctx)
			if err == nil {
				err = p.bounded(ctx, callOf("set tags of", string(id)), p.cfg.OperationTimeout, func(ctx context.Context) error {
					return p.set.SetTags(ctx, id, maps.Clone(tags))
				})
			}
			if p.tagsSaved(r, err) || !p.pause(ctx, backoff.Doubled(time.Second, failures, p.cfg.SyncInterval), "tags") {
				return
			}
		}
	}) {
		r.tags.saving = false
	}
}

// tagsSaved reports whether there is nothing more to save.
func (p *Pool) tagsSaved(r *record, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil {
		p.metrics.called("set_tags", err)
	}
	r.tags.dirty = r.tags.dirty || err != nil
	if r.tags.dirty && r.State < Shutdown {
		if err != nil {
			p.cfg.Logger.Warn("tags not saved", "worker_id", r.ID, "error", err)
		}
		return false
	}
	r.tags.saving = false
	r.tags.saved = p.listing.number + 2 // the one under way may have begun before
	return true
}
