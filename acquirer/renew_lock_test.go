package acquirer

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A long report is cleaned while others may have the lock that every hand-out needs.
func TestReportsAreCleanedOutsideOfTheLock(t *testing.T) {
	a, err := New(memory.NewJobs(), nil, Config{Logger: slog.New(slog.DiscardHandler), StopTimeout: time.Millisecond})
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
	lines := make([]queue.Line, queue.MaxReportLines)
	for i := range lines {
		lines[i].Text = strings.Repeat("\xff\x1b", queue.MaxReportBytes/16/len(lines))
	}
	least := 1.0 // of the rounds: in one of them this machine may have had something else to do while the lock was held
	for range 4 {
		done := make(chan error, 1)
		go func() {
			_, err := a.Renew(ctx, queue.Report{Handout: job.Handout(), Lines: lines})
			done <- err
		}()
		least = min(least, heldWhile(t, a, done))
	}
	if least > .03 {
		t.Errorf("the lock was held for %.0f %% of each report", 100*least)
	}
}

// heldWhile is the part of the time until something is done in which the lock was held.
func heldWhile(t *testing.T, a *Acquirer, done <-chan error) float64 {
	t.Helper()
	asked, held := 0, 0
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return float64(held) / float64(max(asked, 1))
		default:
		}
		asked++
		if a.mu.TryLock() {
			a.mu.Unlock()
		} else {
			held++
		}
		runtime.Gosched()
	}
}
