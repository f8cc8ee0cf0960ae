package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/internal/batch"
)

// callee answers each number with its double and keeps what it was called with.
type callee struct {
	mu    sync.Mutex
	calls [][]int
	err   error
	hold  chan struct{} // nil: answers at once
}

func (c *callee) do(in []int) ([]int, error) {
	c.mu.Lock()
	c.calls = append(c.calls, in)
	hold, err := c.hold, c.err
	c.mu.Unlock()
	if hold != nil {
		<-hold
	}
	out := make([]int, len(in))
	for i, n := range in {
		out[i] = 2 * n
	}
	return out, err
}

// tens are the keys: 11 and 12 exclude each other.
func tens(n int) int { return n / 10 }

func TestALoneCallGoesAtOnce(t *testing.T) {
	t.Parallel()
	c := &callee{}
	b := batch.New(10, tens, c.do)
	for n := range 3 {
		if got, err := b.Do(t.Context(), n); got != 2*n || err != nil {
			t.Errorf("Do(%d) = %d, %v", n, got, err)
		}
	}
	if len(c.calls) != 3 {
		t.Errorf("%d calls for three in a row, want 3", len(c.calls))
	}
}

func TestCallsThatComeMeanwhileShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &callee{hold: make(chan struct{})}
		b := batch.New(3, tens, c.do)
		var group sync.WaitGroup
		for _, n := range []int{10, 20, 21, 30, 40, 50} {
			group.Go(func() {
				if got, err := b.Do(t.Context(), n); got != 2*n || err != nil {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
			synctest.Wait() // one after the other
		}
		close(c.hold)
		group.Wait()
		want := [][]int{{10}, {20, 30, 40}, {21, 50}}
		if !slices.EqualFunc(c.calls, want, slices.Equal) {
			t.Errorf("calls %v, want %v: at most 3, no key twice, in the order in which they came", c.calls, want)
		}
	})
}

func TestAnErrorIsTheAnswerToAll(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	c := &callee{err: down}
	b := batch.New(3, tens, c.do)
	if got, err := b.Do(t.Context(), 4); !errors.Is(err, down) || got != 0 {
		t.Errorf("%d, %v", got, err)
	}
	c.err = nil
	if got, err := b.Do(t.Context(), 4); err != nil || got != 8 {
		t.Errorf("after the error: %d, %v", got, err)
	}
}

func TestWhoLeavesDoesNotWithdraw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &callee{hold: make(chan struct{})}
		b := batch.New(3, tens, c.do)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, n := range []int{1, 20} {
			group.Go(func() {
				if _, err := b.Do(ctx, n); !errors.Is(err, context.Canceled) {
					t.Errorf("Do(%d): %v", n, err)
				}
			})
			synctest.Wait()
		}
		cancel()
		group.Wait()
		close(c.hold)
		synctest.Wait()
		if want := [][]int{{1}, {20}}; !slices.EqualFunc(c.calls, want, slices.Equal) {
			t.Errorf("calls %v, want %v", c.calls, want)
		}
	})
}

// What is heavy together goes in parts, one that is too heavy goes alone, and nothing waits for ever behind what is lighter.
func TestBatchesHaveAWeight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &callee{hold: make(chan struct{})}
		b := batch.New(10, tens, c.do)
		b.Weigh(100, func(n int) int { return n })
		var group sync.WaitGroup
		for _, n := range []int{10, 60, 50, 150, 30, 20} {
			group.Go(func() {
				if got, err := b.Do(t.Context(), n); got != 2*n || err != nil {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
			synctest.Wait()
		}
		close(c.hold)
		group.Wait()
		want := [][]int{{10}, {60, 30}, {50, 20}, {150}}
		if !slices.EqualFunc(c.calls, want, slices.Equal[[]int]) {
			t.Errorf("calls %v, want %v", c.calls, want)
		}
	})
}

// Several requests of one caller share calls with each other and with those of others, under the same rules, and are answered in order.
func TestSeveralRequestsOfOneCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &callee{hold: make(chan struct{})}
		b := batch.New(3, tens, c.do)
		var group sync.WaitGroup
		alone := func(n int) {
			group.Go(func() {
				if got, err := b.Do(t.Context(), n); got != 2*n || err != nil {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
			synctest.Wait()
		}
		alone(10)
		var answers []int
		group.Go(func() {
			b.DoAll(t.Context(), []int{20, 21, 30, 22}, func(i int, out *int, err error) {
				if err != nil || i != len(answers) {
					t.Errorf("answer %d: %v, behind %d others", i, err, len(answers))
					return
				}
				answers = append(answers, *out)
			})
		})
		synctest.Wait()
		alone(40)
		close(c.hold)
		group.Wait()
		want := [][]int{{10}, {20, 30, 40}, {21}, {22}}
		if !slices.EqualFunc(c.calls, want, slices.Equal) || !slices.Equal(answers, []int{40, 42, 60, 44}) {
			t.Errorf("calls %v, want %v; answers %v", c.calls, want, answers)
		}
		b.DoAll(t.Context(), nil, func(int, *int, error) { t.Error("an answer to nothing") })
	})
}

// An error is the answer to those of its call alone, and one who leaves is told so for each request.
func TestSeveralRequestsThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		c := &callee{hold: make(chan struct{})}
		b := batch.New(2, tens, func(in []int) ([]int, error) {
			out, _ := c.do(in)
			if slices.Contains(in, 30) {
				return nil, down
			}
			return out, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		told := map[error]int{}
		group.Go(func() {
			b.DoAll(ctx, []int{10, 20}, func(_ int, _ *int, err error) { told[err]++ })
		})
		synctest.Wait()
		var failed []int
		group.Go(func() {
			b.DoAll(t.Context(), []int{30, 40, 50}, func(i int, out *int, err error) {
				if (err == nil) != (out != nil) {
					t.Errorf("answer %d: %v with %v", i, err, out)
				}
				if errors.Is(err, down) {
					failed = append(failed, i)
				}
			})
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if told[context.Canceled] != 2 || len(told) != 1 {
			t.Errorf("who left was told %v", told)
		}
		close(c.hold)
		group.Wait()
		if !slices.Equal(failed, []int{0, 1}) {
			t.Errorf("%v have failed, want those that shared a call with the one that did", failed)
		}
	})
}
