package memory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// open returns an empty store. Of one that has lived through a history, what is dumped is restored in the end.
func open(t *testing.T) store.Store {
	s := memory.New()
	if strings.Contains(t.Name(), "/alike/") {
		t.Cleanup(func() {
			ctx, at := context.Background(), monday.AddDate(10, 0, 0)
			want, err := s.Backlog(ctx, at)
			must(t, err)
			if got, err := restored(t, s).Backlog(ctx, at); err != nil || got != want {
				t.Errorf("a restored store has %+v to do, error %v, want %+v", got, err, want)
			}
		})
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, open, storetest.Options{
		Corrupt: memory.Corrupt,
		Like:    func() store.Store { return memory.New() },
		Dump: func(t *testing.T, s store.Store) string {
			var b strings.Builder
			if err := s.(*memory.Store).Dump(&b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		},
	})
}

// A posting that is invalid is named by its place.
func TestEnqueueNamesTheInvalidPosting(t *testing.T) {
	_, err := memory.New().Enqueue(t.Context(), monday, []queue.Posting{{Type: "build"}, {Type: "build", Weight: -1}})
	if err == nil || !strings.Contains(err.Error(), "posting 1: ") {
		t.Errorf("error %v", err)
	}
}
