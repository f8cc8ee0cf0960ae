package acquirer

import (
	"context"
	"testing"

	"github.com/coder/quartz"
	"github.com/google/uuid"
)

func joinedOf(clock quartz.Clock, store func(context.Context, []uuid.UUID) ([]int, error)) joined[uuid.UUID, int] {
	a := &Acquirer{clock: clock, slow: newSlowJobs(), cfg: Config{Batch: 10}}
	return join(a, func(job uuid.UUID) uuid.UUID { return job }, store)
}

// A call that is answered in time allocates nothing of its own: each end and each renewal is in one.
func TestJoinedCallsAllocateNothing(t *testing.T) {
	out := make([]int, 10)
	j := joinedOf(quartz.NewReal(), func(context.Context, []uuid.UUID) ([]int, error) { return out, nil })
	in := make([]uuid.UUID, len(out))
	for i := range in {
		in[i] = uuid.New()
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = j.store(t.Context(), in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The jobs of a call that took too long are slow for a while, and nothing is left of them afterwards.
func TestSlowJobsAreForgotten(t *testing.T) {
	t.Parallel()
	clock := quartz.NewMock(t)
	late := errTooLong
	j := joinedOf(clock, func(_ context.Context, in []uuid.UUID) ([]int, error) { return make([]int, len(in)), late })
	slow := j.a.slow
	first, second, other := uuid.New(), uuid.New(), uuid.New()
	for range 2 {
		_, _ = j.store(t.Context(), []uuid.UUID{first})
		clock.Advance(aloneFor / 2)
		_, _ = j.store(t.Context(), []uuid.UUID{second})
		late = context.Canceled
		_, _ = j.store(t.Context(), []uuid.UUID{other})
		late = errTooLong
		if !slow.has(clock, first) || !slow.has(clock, second) || slow.has(clock, other) {
			t.Errorf("slow are %v", slow.until)
		}
		clock.Advance(aloneFor / 2)
		if slow.has(clock, first) || !slow.has(clock, second) {
			t.Errorf("when the first is over slow are %v", slow.until)
		}
		clock.Advance(aloneFor / 2)
		if slow.has(clock, second) || slow.any.Load() || len(slow.until) > 0 {
			t.Errorf("when both are over slow are %v", slow.until)
		}
	}
}
