package worker

import (
	"context"
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// plain is a source that ends jobs one by one.
type plain struct{}

func (plain) AcquireJob(context.Context, queue.Request) (queue.Job, error) { return queue.Job{}, nil }
func (plain) Renew(context.Context, queue.Report) (bool, error)            { return false, nil }
func (plain) End(context.Context, queue.End) (queue.Job, error)            { return queue.Job{}, nil }

// several is one that ends several at once.
type several struct{ plain }

func (*several) EndJobs(_ context.Context, ends []queue.End) []error { return make([]error, len(ends)) }

// number is one that is no struct.
type number int

func (number) AcquireJob(context.Context, queue.Request) (queue.Job, error) { return queue.Job{}, nil }
func (number) Renew(context.Context, queue.Report) (bool, error)            { return false, nil }
func (number) End(context.Context, queue.End) (queue.Job, error)            { return queue.Job{}, nil }
func (number) EndJobs(context.Context, []queue.End) []error                 { return nil }

// A source ends several jobs at once if its type says so itself, and not because of something that it embeds.
func TestWhoEndsSeveralJobsAtOnce(t *testing.T) {
	t.Parallel()
	type (
		pointer struct{ *several }
		value   struct{ several }
		hidden  struct {
			plain
			inner *several
		}
		surface interface {
			Source
			ender
		}
		dynamic struct{ surface }
	)
	for name, c := range map[string]struct {
		source Source
		want   bool
	}{
		"one by one":             {plain{}, false},
		"a pointer to that":      {&plain{}, false},
		"several at once":        {&several{}, true},
		"no struct":              {number(1), true},
		"embeds a pointer":       {pointer{&several{}}, false},
		"embeds a value":         {&value{}, false},
		"embeds an interface":    {dynamic{&several{}}, false},
		"has one in a field":     {hidden{inner: &several{}}, false},
		"a pointer to embedding": {&pointer{&several{}}, false},
	} {
		if got := enderOf(c.source) != nil; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
