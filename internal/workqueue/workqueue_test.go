package workqueue_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/internal/workqueue"
)

func TestWorkGoesInOrderAndInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { q.Run(ctx, t.Context()) })
		}
		var mu sync.Mutex
		var begun []int
		goOn := make(chan struct{})
		for i := range 10 {
			q.Add(func(context.Context) {
				mu.Lock()
				begun = append(begun, i)
				mu.Unlock()
				<-goOn
			})
		}
		synctest.Wait()
		slices.Sort(begun) // the first three may begin in any order
		if !slices.Equal(begun, []int{0, 1, 2}) {
			t.Errorf("three goroutines began %v", begun)
		}
		close(goOn)
		synctest.Wait()
		if len(begun) != 10 {
			t.Errorf("%d of 10 done", len(begun))
		}
		cancel()
		group.Wait()
	})
}

// One signal may announce several items: no goroutine may sleep while there is work and another is busy.
func TestNobodySleepsWhileThereIsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { q.Run(ctx, t.Context()) })
		}
		synctest.Wait() // both sleep
		hang, done := make(chan struct{}), false
		q.Add(func(context.Context) { <-hang })
		q.Add(func(context.Context) { done = true })
		synctest.Wait()
		if !done {
			t.Error("the second piece of work waits for the first")
		}
		close(hang)
		cancel()
		group.Wait()
	})
}

func TestTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New()
		ctx, cancel := context.WithCancel(t.Context())
		type key struct{}
		late := context.WithValue(t.Context(), key{}, "late")
		var group sync.WaitGroup
		group.Go(func() { q.Run(ctx, late) })
		goOn := make(chan struct{})
		var got []any
		note := func(ctx context.Context) { got = append(got, ctx.Value(key{}), ctx.Err()) }
		q.Add(func(ctx context.Context) { <-goOn; note(ctx) })
		synctest.Wait()
		q.Add(func(ctx context.Context) { q.Add(note) })
		cancel()
		close(goOn)
		group.Wait()
		if want := []any{"late", nil}; !slices.Equal(got, want) {
			t.Errorf("what was begun ran with %v, want %v", got, want)
		}
		got = nil
		q.Drain(context.WithValue(t.Context(), key{}, "drain"))
		if want := []any{"drain", nil}; !slices.Equal(got, want) {
			t.Errorf("draining ran %v, want %v", got, want)
		}
	})
}
