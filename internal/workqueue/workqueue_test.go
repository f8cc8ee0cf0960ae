package workqueue_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/internal/workqueue"
)

func TestWorkGoesInOrderAndInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New[int](3)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { q.Run(ctx, t.Context()) })
		}
		var mu sync.Mutex
		var begun []int
		goOn := make(chan struct{})
		for i := range 10 {
			q.Add(0, func(context.Context) {
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
		q := workqueue.New[int](3)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { q.Run(ctx, t.Context()) })
		}
		synctest.Wait() // both sleep
		hang, done := make(chan struct{}), false
		q.Add(0, func(context.Context) { <-hang })
		q.Add(0, func(context.Context) { done = true })
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
		q := workqueue.New[int](3)
		ctx, cancel := context.WithCancel(t.Context())
		type key struct{}
		late := context.WithValue(t.Context(), key{}, "late")
		var group sync.WaitGroup
		group.Go(func() { q.Run(ctx, late) })
		goOn := make(chan struct{})
		var got []any
		note := func(ctx context.Context) { got = append(got, ctx.Value(key{}), ctx.Err()) }
		q.Add(0, func(ctx context.Context) { <-goOn; note(ctx) })
		synctest.Wait()
		q.Add(0, func(ctx context.Context) { q.Add(0, note) })
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

// Lines take turns, and what hangs in one keeps no more goroutines than it may have from the others.
func TestLinesTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New[string](2)
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		var order []string
		for i, line := range []string{"a", "a", "a", "a", "b", "b", "c"} {
			q.Add(line, func(context.Context) {
				order = append(order, line+strconv.Itoa(i))
				if line == "a" {
					<-hang
				}
			})
		}
		var group sync.WaitGroup
		run := func() {
			group.Go(func() { q.Run(ctx, t.Context()) })
			synctest.Wait()
		}
		for range 3 { // one after the other, so that the order is one
			run()
		}
		if want := []string{"a0", "b4", "c6", "a1", "b5"}; !slices.Equal(order, want) {
			t.Errorf("%v have begun beside what hangs, want %v", order, want)
		}
		q.Add("d", func(context.Context) { order = append(order, "d") })
		synctest.Wait()
		if order[len(order)-1] != "d" {
			t.Error("what comes later waits for what hangs")
		}
		for range 4 { // one after the other, again
			hang <- struct{}{}
			synctest.Wait()
		}
		if want := []string{"a0", "b4", "c6", "a1", "b5", "d", "a2", "a3"}; !slices.Equal(order, want) {
			t.Errorf("in the end %v have begun, want %v", order, want)
		}
		cancel()
		group.Wait()
	})
}

// A line that is first goes on before the others, whether it waits for its turn or has it; for one turn, and if it has work then.
func TestFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// lines are added in order; first says of a piece what it calls, and adds that it adds another one of its line after that.
		lines []string
		first map[string]string
		adds  map[string]bool
		early []string // are first before anything begins
		want  []string
	}{
		"nobody":             {lines: []string{"a", "b", "a"}, early: []string{"x"}, want: []string{"a0", "b0", "a1"}},
		"one that waits":     {lines: []string{"a", "a", "b", "b"}, early: []string{"b"}, want: []string{"b0", "a0", "b1", "a1"}},
		"the first":          {lines: []string{"a", "a", "b", "b"}, early: []string{"a"}, want: []string{"a0", "b0", "a1", "b1"}},
		"one that goes on":   {lines: []string{"a", "a", "a", "b"}, first: map[string]string{"a0": "a"}, want: []string{"a0", "a1", "b0", "a2"}},
		"another":            {lines: []string{"a", "b", "b", "c", "c"}, first: map[string]string{"a0": "c"}, want: []string{"a0", "c0", "b0", "c1", "b1"}},
		"one without work":   {lines: []string{"a", "b"}, first: map[string]string{"a0": "a"}, adds: map[string]bool{"a0": true}, want: []string{"a0", "b0", "a1"}},
		"one that has ended": {lines: []string{"a", "b", "b"}, first: map[string]string{"b0": "a"}, want: []string{"a0", "b0", "b1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := workqueue.New[string](1)
			var order []string
			n := make(map[string]int)
			var add func(line string)
			add = func(line string) {
				piece := line + strconv.Itoa(n[line])
				n[line]++
				q.Add(line, func(context.Context) {
					order = append(order, piece)
					if first := test.first[piece]; first != "" {
						q.First(first)
					}
					if test.adds[piece] {
						add(line)
					}
				})
			}
			for _, line := range test.lines {
				add(line)
			}
			for _, line := range test.early {
				q.First(line)
			}
			q.Drain(t.Context())
			if !slices.Equal(order, test.want) {
				t.Errorf("in order %v, want %v", order, test.want)
			}
		})
	}
}

// leaving is a context that ends after its goroutine has been told of work, and before it looks for it.
type leaving struct {
	context.Context
	looks int
}

func (l *leaving) Err() error {
	if l.looks++; l.looks > 1 {
		return context.Canceled
	}
	return nil
}

// A goroutine that leaves just when it is told of work passes that on.
func TestWhoLeavesPassesTheSignalOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.New[int](3)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, c := range []context.Context{&leaving{Context: ctx}, ctx} {
			group.Go(func() { q.Run(c, t.Context()) })
			synctest.Wait() // the one that leaves is told first
		}
		done := false
		q.Add(0, func(context.Context) { done = true })
		synctest.Wait()
		if !done {
			t.Error("the work waits although a goroutine is idle")
		}
		cancel()
		group.Wait()
	})
}
