package rendercache

import (
	"context"
	"errors"
	"testing"
)

// A waiter may leave in the very moment in which the fetch fails, which has dropped its reference already.
func TestWaiterLeavesWhileTheFetchFails(t *testing.T) {
	l, err := NewHandles(HandlesConfig[string, int]{OnRelease: func(string, int) { t.Error("released what was never there") }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, _, err := l.reference(t.Context(), "a", func(context.Context) (int, error) { return 0, errors.New("broken") })
	if err != nil {
		t.Fatal(err)
	}
	<-s.flight.done
	l.dereference(s, true)
	if got := l.Stats(); got.References != 0 || got.Values != 0 {
		t.Errorf("%+v, want nothing held", got)
	}
}
