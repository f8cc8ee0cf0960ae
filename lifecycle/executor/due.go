package executor

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// due is the stream of due workspaces, in pages: first those of the replica's shard, then those of any other shard that
// have been due for an interval, because nobody else evaluated them in time. No workspace comes twice. The next page is
// read while its predecessor is worked on. An error is the last element.
func (e *Executor) due(ctx context.Context, now time.Time, shard lifecycle.Shard) iter.Seq2[[]lifecycle.Snapshot, error] {
	r := &dueReader{store: e.store, queries: []lifecycle.DueQuery{{Now: now, Limit: e.cfg.PageSize, Shard: shard}}}
	if shard.Count > 1 {
		r.own = shard
		r.queries = append(r.queries, lifecycle.DueQuery{Now: now.Add(-e.cfg.Interval), Limit: e.cfg.PageSize})
	}
	return func(yield func([]lifecycle.Snapshot, error) bool) {
		page, err := r.next(ctx)
		for err == nil {
			var following []lifecycle.Snapshot
			var reading sync.WaitGroup
			last := r.done()
			if !last {
				reading.Go(func() { following, err = r.next(ctx) })
			}
			goOn := len(page) == 0 || yield(page, nil)
			reading.Wait()
			if last || !goOn {
				return
			}
			page = following
		}
		yield(nil, err)
	}
}

// dueReader reads the pages of several queries, one query after the other.
type dueReader struct {
	store lifecycle.Store
	// queries are those not read to their end, each from the place it has reached.
	queries []lifecycle.DueQuery
	// own is the shard of the first query, whose workspaces the second one skips. The zero value is none.
	own lifecycle.Shard
}

// done reports whether every query was read to its end.
func (r *dueReader) done() bool { return len(r.queries) == 0 }

// next returns the next page, which may be empty.
func (r *dueReader) next(ctx context.Context) ([]lifecycle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q := &r.queries[0]
	page, err := r.store.Due(ctx, *q)
	if err != nil {
		return nil, fmt.Errorf("read due workspaces: %w", err)
	}
	known := r.own.Count > 1 && q.Shard.Count == 0
	if len(page) < q.Limit {
		r.queries = r.queries[1:]
	} else {
		q.After = lifecycle.CursorOf(page[len(page)-1])
	}
	if known {
		page = slices.DeleteFunc(page, func(s lifecycle.Snapshot) bool { return r.own.Holds(s.Workspace.ID) })
	}
	return page, nil
}
