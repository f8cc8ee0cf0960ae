package acquirer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A long report is cleaned while others may have the lock that every hand-out needs: what is done under the lock leaves its lines as they
// came, and what is stored of them is clean.
func TestReportsAreCleanedOutsideOfTheLock(t *testing.T) {
	store := memory.NewJobs()
	a, err := New(store, nil, Config{Logger: slog.New(slog.DiscardHandler), StopTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = a.Run(ctx)
	}()
	defer func() { cancel(); <-over }()
	org := uuid.New()
	if _, err := a.Enqueue(ctx, Posting{Organization: org, Type: "build"}); err != nil {
		t.Fatal(err)
	}
	job, err := a.AcquireJob(ctx, Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}})
	if err != nil {
		t.Fatal(err)
	}
	dirty := []queue.Line{{Text: "\xff\x1b one"}, {Text: "two\x00" + strings.Repeat("\x1b", queue.MaxLine)}}
	r := queue.Report{Handout: job.Handout(), Lines: slices.Clone(dirty)}
	if _, _, dropped, err := a.report(job, &r); err != nil || dropped != 0 {
		t.Fatalf("%d lines dropped, %v", dropped, err)
	}
	if !slices.Equal(r.Lines, dirty) {
		t.Error("lines are changed under the lock")
	}
	if _, err := a.Renew(ctx, queue.Report{Handout: job.Handout(), Lines: dirty}); err != nil {
		t.Fatal(err)
	}
	lines, err := store.Lines(ctx, job.ID, 0, 10)
	if err != nil || len(lines) < 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines {
		if line.Text != queue.CleanText(line.Text, queue.MaxLine) {
			t.Errorf("stored as %.40q", line.Text)
		}
	}
}
