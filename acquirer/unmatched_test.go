package acquirer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Of very many workers elsewhere that all cannot run a lane, some are looked at for the reason.
func TestUnmatchedBesideManyWorkersElsewhere(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{180, 360} { // whichever process tells has less than a hundred of them itself, and more
		bubble(t, func(f *fleet) {
			all := []*acquirer.Acquirer{f.start(), f.start(), f.start()}
			for i := range workers {
				f.join(all[i%3], f.request(map[string]string{"x": fmt.Sprint(i)}))
			}
			f.pass(time.Minute)
			f.enqueue(all[0], f.posting(map[string]string{"gpu": "yes"}))
			f.pass(time.Minute)
			if events := f.happened(queue.EventUnmatched); len(events) != 1 || !strings.Contains(events[0].Reason, "lacks gpu=yes") {
				t.Errorf("told: %+v", events)
			}
		})
	}
}

// A message about a lane that nobody can run has the store asked if it is news, and not if the lane is watched already, whether this
// process was posted to, has found it, or has found it for the second time.
func TestMessagesAboutWatchedLanes(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(func(c *acquirer.Config) { c.Backup = 24 * time.Hour }) // none but those that messages cause
		f.pass(time.Minute)
		organization := uuid.New() // nobody waits for it
		posting := func(kind string) queue.Posting {
			p := f.posting(nil)
			p.Organization, p.Type = organization, kind
			return p
		}
		questions := func(kind string, organization uuid.UUID) int {
			before := f.store.Calls(acquirertest.Ready)
			f.shout(`{"p":"%s","n":1,"jobs":[{"o":"%s","l":%d,"c":1}]}`, uuid.New(), organization,
				queue.Lane{Organization: organization, Type: kind}.Digest())
			f.pass(2 * time.Second)
			return f.store.Calls(acquirertest.Ready) - before
		}
		f.enqueue(a, posting("posted"))
		f.slip(posting("found"))
		if n := questions("found", organization); n != 1 {
			t.Errorf("%d questions about a lane that is news, want 1", n)
		}
		for range 2 {
			for _, kind := range []string{"posted", "found"} {
				if n := questions(kind, organization); n != 0 {
					t.Errorf("%d questions about the watched lane %q", n, kind)
				}
			}
			// This one finds both again.
			if n := questions("found", uuid.New()); n != 1 {
				t.Errorf("%d questions about a lane of another organization, want 1", n)
			}
		}
	})
}
