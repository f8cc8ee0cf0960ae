package acquirer_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// weighing is a store that is slow, so that calls pile up, and weighs what one call brings.
type weighing struct {
	queue.Store

	mu                      sync.Mutex
	results, ends           int // the most bytes, and jobs, of one call of End
	text, lines, allResults int // the most bytes and lines of one call of Renew
	allText                 int
}

func (w *weighing) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	time.Sleep(10 * time.Millisecond) // in a bubble
	size := 0
	for _, e := range ends {
		size += len(e.Result)
	}
	w.mu.Lock()
	w.results, w.ends, w.allResults = max(w.results, size), max(w.ends, len(ends)), w.allResults+size
	w.mu.Unlock()
	return w.Store.End(ctx, now, ends)
}

func (w *weighing) Renew(ctx context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	time.Sleep(10 * time.Millisecond) // in a bubble
	size, lines := 0, 0
	for _, r := range renewals {
		lines += len(r.Lines)
		for _, line := range r.Lines {
			size += len(line.Text)
		}
	}
	w.mu.Lock()
	w.text, w.lines, w.allText = max(w.text, size), max(w.lines, lines), w.allText+size
	w.mu.Unlock()
	return w.Store.Renew(ctx, now, renewals)
}

// However many workers report and end at once, one call of the store, which is one transaction, carries a bounded number of
// bytes and lines.
func TestCallsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		store := &weighing{Store: f.inner}
		a, err := acquirer.New(store, nil, acquirer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(f.ctx)
		var running, working sync.WaitGroup
		running.Go(func() { _ = a.Run(ctx) })
		const workers = 40
		lines := make([]queue.Line, queue.MaxReportLines)
		for i := range lines {
			lines[i].Text = strings.Repeat("x", queue.MaxReportBytes/queue.MaxReportLines)
		}
		last := time.Now().Add(5 * time.Minute)
		for range workers {
			f.slip(f.posting(nil))
			working.Go(func() {
				job, err := a.AcquireJob(ctx, f.request(nil))
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Minute)
				if _, err := a.Renew(ctx, queue.Report{Handout: job.Handout(), Lines: lines}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Until(last)) // all at once
				_, err = a.End(ctx, queue.End{
					Handout: job.Handout(), Outcome: queue.OutcomeSucceeded, Result: make([]byte, queue.MaxResult),
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		working.Wait()
		stop()
		running.Wait()
		synctest.Wait()
		if store.results > 8<<20 || store.ends < 2 || store.allResults != workers*queue.MaxResult {
			t.Errorf("one call carried up to %d bytes of results of %d jobs, of %d bytes", store.results, store.ends, store.allResults)
		}
		if store.text > 128<<10 || store.lines < 2 || store.allText != workers*queue.MaxReportLines*len(lines[0].Text) {
			t.Errorf("one call carried up to %d lines of %d bytes, all together %d bytes", store.lines, store.text, store.allText)
		}
	})
}
