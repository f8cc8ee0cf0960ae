package buildjobs_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

func build(tag string) lifecycle.Job {
	return lifecycle.Job{
		ID: uuid.UUID{1}, OrganizationID: uuid.UUID{2}, OwnerID: uuid.UUID{3}, WorkspaceID: uuid.UUID{4}, BuildNumber: 7,
		Transition: lifecycle.TransitionStop, Tags: map[string]string{"zone": tag}, Priority: 3, Payload: []byte("p"),
	}
}

// What a store enqueues in a commit is what the queue would make of the posting, and reads back as the build's job.
func TestJobOf(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 123456789, time.UTC)
	posting, err := buildjobs.PostingOf(build("a"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := posting.Job(now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := buildjobs.JobOf(build("a"), now)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("job %+v, error %v; want %+v", got, err, want)
	}
	if back, err := buildjobs.BuildOf(got); err != nil || !reflect.DeepEqual(back, build("a")) {
		t.Errorf("read back %+v, error %v", back, err)
	}
}

// What the queue would not accept is refused with the build's number and the rule.
func TestJobThatCannotBePosted(t *testing.T) {
	bad := build(strings.Repeat("x", 10_000))
	_, posting := buildjobs.PostingOf(bad)
	_, job := buildjobs.JobOf(bad, time.Time{})
	for _, err := range []error{posting, job} {
		if err == nil || !strings.Contains(err.Error(), "build 7") || !strings.Contains(err.Error(), "zone") {
			t.Errorf("error %v", err)
		}
	}
	if posting.Error() != job.Error() {
		t.Errorf("two errors for one fault: %v and %v", posting, job)
	}
}

// The limit of a payload is in the bytes that the host hands in, not in those of the encoding.
func TestPayloadLimit(t *testing.T) {
	j := build("a")
	j.Payload = make([]byte, buildjobs.MaxPayload)
	if _, err := buildjobs.PostingOf(j); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	j.Payload = make([]byte, buildjobs.MaxPayload+1)
	_, err := buildjobs.PostingOf(j)
	var refused *invalid.Error
	if !errors.As(err, &refused) || refused.Field != "Job.Payload" || !strings.Contains(err.Error(), "716801") || !strings.Contains(err.Error(), "716800") {
		t.Errorf("beyond the limit: %v", err)
	}
}
