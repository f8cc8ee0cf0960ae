package workspaces_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
)

// wrapped is a host's store around another, and able to do nothing that it does not say.
type wrapped struct{ workspaces.Store }

func (w wrapped) Unwrap() lifecycle.Store { return w.Store }

// What pools tell each other passes a host's wrapper.
func TestAnnouncementsThroughAWrappedStore(t *testing.T) {
	bubble(t, 1, nil, func(r *rig) {
		w, err := workspaces.New(wrapped{wrapped{r.store}}, r.engine, r.cfg)
		r.must(err)
		heard := make(chan string, 10)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- w.WatchMembers(ctx, "other", func(note string) { heard <- note }) }()
		synctest.Wait()
		r.must(w.AnnounceMembers(ctx, "other", "hello"))
		synctest.Wait()
		cancel()
		<-ended
		close(heard)
		if first, second := <-heard, <-heard; first != "" || second != "hello" { // the first says that it listens
			t.Errorf("heard %q and %q", first, second)
		}
	})
}
