package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

// What a worker said of itself before is not what it says now, also where it changes its own words in place.
func TestRequestsAreReadAnew(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		types, tags := []string{"scan"}, map[string]string{"x": "1"}
		ask := func() queue.Request {
			return queue.Request{Organization: f.org, Worker: uuid.New(), Types: types, Tags: tags}
		}
		f.join(a, ask())
		types[0] = "build"
		delete(tags, "x")
		second := f.join(a, ask())
		f.settle()
		f.enqueue(a, f.posting(nil))
		f.settle()
		if !second.got() {
			t.Error("the worker that asks for builds now got none")
		}
		for range 40 { // more kinds than are kept
			types[0] = uuid.NewString()
			f.join(a, ask())
		}
		types[0] = "build"
		third := f.join(a, ask())
		f.settle()
		f.enqueue(a, f.posting(nil))
		f.settle()
		if !third.got() {
			t.Error("a worker like one before got nothing")
		}
		bad := ask()
		bad.Silence = -time.Second
		if _, err := a.AcquireJob(context.Background(), bad); !errors.Is(err, invalid.Err) {
			t.Errorf("a negative silence: %v", err)
		}
	})
}
