package acquirer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Jobs of a transaction are refused as others are, and stored as others are.
func TestEnqueueTx(t *testing.T) {
	s := memory.NewJobs()
	a, err := acquirer.New(s, nil, acquirer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.EnqueueTx(t.Context(), s, acquirer.Posting{Type: "x", Priority: 1}, acquirer.Posting{})
	if !errors.Is(err, invalid.Err) {
		t.Errorf("an invalid posting: %v", err)
	}
	if _, err = a.EnqueueTx(t.Context(), s, acquirer.Posting{Type: "workspace_build"}); !errors.Is(err, invalid.Err) {
		t.Errorf("a type of the library's own: %v", err)
	}
	id := uuid.New()
	jobs, err := a.EnqueueTx(t.Context(), s, acquirer.Posting{ID: id, Tenant: uuid.New(), Type: "x"})
	if err != nil || len(jobs) != 1 || jobs[0].ID != id {
		t.Errorf("enqueued %+v, %v", jobs, err)
	}
}

// Nobody hears of the jobs of a transaction before they are announced; if they never are, they are found all the same.
func TestEnqueueTxIsAnnouncedByTheHost(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		announced, forgotten := f.joinPlain(b), f.joinPlain(b)
		f.settle()
		enqueue := func() []acquirer.Job {
			jobs, err := a.EnqueueTx(f.ctx, f.inner, f.posting(nil))
			if err != nil {
				t.Fatal(err)
			}
			return jobs
		}
		jobs := enqueue()
		f.pass(time.Second)
		if announced.over() {
			t.Fatal("handed out before it was announced")
		}
		a.Announce(jobs...)
		f.pass(100 * time.Millisecond)
		if got := f.mustGet(announced, "announced after the commit"); got.ID != jobs[0].ID {
			t.Errorf("got %s", got.ID)
		}
		enqueue()
		f.pass(35 * time.Second)
		f.mustGet(forgotten, "never announced")
	})
}
