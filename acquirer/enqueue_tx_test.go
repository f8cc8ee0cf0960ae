package acquirer_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Jobs of a transaction are refused as others are, stored as others are, and nobody hears of them before they are announced.
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
	id := uuid.New()
	jobs, err := a.EnqueueTx(t.Context(), s, acquirer.Posting{ID: id, Tenant: uuid.New(), Type: "x"})
	if err != nil || len(jobs) != 1 || jobs[0].ID != id {
		t.Errorf("enqueued %+v, %v", jobs, err)
	}
}
