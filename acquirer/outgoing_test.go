package acquirer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// An announcement does not wait for the pause that another organization's flood has caused. What one organization posts within a
// pause goes together, and what many post costs few messages.
func TestAnnouncementsBesideAFlood(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		front, back := f.start(), f.start()
		w := f.joinPlain(back)
		f.settle()
		post := func(id uuid.UUID) {
			f.enqueue(front, queue.Posting{Organization: id, Type: "build", Tags: map[string]string{"only": uuid.NewString()}})
			synctest.Wait()
		}
		const pause = 5 * time.Millisecond
		sent, begun, flooder := f.bus.Sent(), time.Now(), uuid.New()
		for range 10 {
			post(flooder)
		}
		if n := f.bus.Sent() - sent; n != 1 {
			t.Errorf("%d messages about one organization within a pause", n)
		}
		f.enqueue(front, f.posting(nil))
		f.mustGet(w, "a job that is posted beside a flood")
		if d := time.Since(begun); d > 0 {
			t.Errorf("handed over after %s", d)
		}
		for range 100 {
			post(uuid.New())
		}
		if n := f.bus.Sent() - sent; time.Since(begun) > 0 || n > 9 {
			t.Errorf("%d messages about a hundred organizations within a pause of %s", n, time.Since(begun))
		}
		soon := f.bus.Sent()
		f.pass(pause)
		sent = f.bus.Sent()
		if n := sent - soon; n < 1 || n > 3 {
			t.Errorf("%d messages about the rest of them at the end of the pause", n)
		}
		f.pass(2 * pause)
		post(flooder)
		if n := f.bus.Sent() - sent; n < 1 || n > 2 {
			t.Errorf("%d messages after a quiet pause", n)
		}
	})
}
