package tenancy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/rendercache"
)

// cached is how many entries others have in the render cache.
const cached = 1000

// flood is an organization that does everything it may, all the time.
type flood struct {
	*bench
	organization uuid.UUID
	cache        *rendercache.Cache[rendercache.Key, string]
	version      uuid.UUID
	cancel       context.CancelFunc
	running      sync.WaitGroup

	postings, waits, reports, renders, explanations atomic.Int64
}

func newFlood(b *bench) (*flood, error) {
	cache, err := rendercache.New(rendercache.Config[rendercache.Key, string]{})
	if err != nil {
		return nil, err
	}
	f := &flood{bench: b, organization: uuid.New(), cache: cache, version: uuid.New()}
	for n := range cached {
		cache.Put(f.keyOfOther(n), "page")
	}
	return f, nil
}

func (f *flood) keyOfOther(n int) rendercache.Key {
	owner := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n/10))
	return rendercache.KeyOf(f.version, owner, map[string]string{"n": fmt.Sprint(n)})
}

// evicted is how many entries of others have left the cache.
func (f *flood) evicted() (n int) {
	for i := range cached {
		if _, ok := f.cache.Get(f.keyOfOther(i)); !ok {
			n++
		}
	}
	return n
}

func (f *flood) counts() string {
	return fmt.Sprintf("%d postings, each with a tag of its own, %d waits with as many wishes, %d reports of %d lines, %d renders, %d explanations",
		f.postings.Load(), f.waits.Load(), f.reports.Load(), queue.MaxReportLines, f.renders.Load(), f.explanations.Load())
}

func (f *flood) start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	ids := make(chan uuid.UUID, 1)
	each := func(n *atomic.Int64, do func(i int)) {
		f.running.Go(func() {
			for ctx.Err() == nil {
				do(int(n.Add(1)))
			}
		})
	}
	each(&f.postings, func(i int) { f.post(ctx, i, ids) })
	each(&f.waits, func(i int) { f.wait(ctx, i) })
	each(&f.renders, func(i int) { f.render(ctx, i) })
	f.running.Go(func() { f.report(ctx) })
	f.running.Go(func() { f.explain(ctx, ids) })
}

func (f *flood) stop() {
	f.cancel()
	f.running.Wait()
}

// post posts a job with a tag, a tenant and every tenth time a type of its own, that nobody can run.
func (f *flood) post(ctx context.Context, i int, ids chan<- uuid.UUID) {
	jobs, err := f.front.Enqueue(ctx, queue.Posting{
		Organization: f.organization, Tenant: uuid.New(), Type: fmt.Sprint("kind", i/10), Tags: map[string]string{"only": fmt.Sprint(i)},
	})
	if err == nil {
		select {
		case ids <- jobs[0].ID:
		default:
		}
	}
}

// wait comes to wait with tags and types that nobody has seen and hangs up.
func (f *flood) wait(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
	defer cancel()
	types := make([]string, queue.MaxTypes)
	for k := range types {
		types[k] = fmt.Sprint(k, "-", i, strings.Repeat("t", queue.MaxTypeBytes/2))
	}
	r := f.worker.Remote(acquirer.Identity{Organization: f.organization, Worker: uuid.New()})
	_, _ = r.AcquireJob(ctx, queue.Request{Types: types, Tags: map[string]string{"wish": fmt.Sprint(i)}})
}

// report holds one job and says as much about it as one report may hold, again and again.
func (f *flood) report(ctx context.Context) {
	r := f.worker.Remote(acquirer.Identity{Organization: f.organization, Worker: uuid.New()})
	if _, err := f.front.Enqueue(ctx, queue.Posting{Organization: f.organization, Type: "talk"}); err != nil {
		return
	}
	job, err := r.AcquireJob(ctx, queue.Request{Types: []string{"talk"}})
	lines := make([]queue.Line, queue.MaxReportLines)
	for i := range lines {
		lines[i].Text = strings.Repeat("talk ", 100)
	}
	for err == nil {
		if _, err = r.Renew(ctx, queue.Report{Handout: job.Handout(), Lines: lines}); err == nil {
			f.reports.Add(1)
		}
	}
}

func (f *flood) render(ctx context.Context, i int) {
	key := rendercache.KeyOf(f.version, f.organization, map[string]string{"n": fmt.Sprint(i)})
	_, _ = f.cache.Render(ctx, key, func(context.Context) (string, error) {
		time.Sleep(200 * time.Microsecond) // what a page costs that is not in the cache
		return "page", nil
	})
}

func (f *flood) explain(ctx context.Context, ids <-chan uuid.UUID) {
	view := f.front.Within(f.organization)
	var id uuid.UUID
	for ctx.Err() == nil {
		select {
		case id = <-ids:
		default:
		}
		if _, err := view.Explain(ctx, id); err == nil {
			f.explanations.Add(1)
		}
	}
}
