package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/examples/worker/httpsource"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A job goes to a worker over HTTP, is reported and ended there, and a lease that is not ours is refused as such.
func TestOverHTTP(t *testing.T) {
	store := memory.NewJobs()
	a, err := acquirer.New(store, nil, acquirer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() { running <- a.Run(ctx) }()
	tokens := map[string]string{"ada": rand.Text(), "eve": rand.Text()}
	workers, err := registered("ada=" + tokens["ada"] + " eve=" + tokens["eve"])
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(control{a, workers, slog.New(slog.DiscardHandler)}.handler())
	source := httpsource.New(server.URL, tokens["ada"], server.Client())

	handled := make(chan queue.Job, 1)
	w, err := worker.New(source, func(_ context.Context, task *worker.Task) ([]byte, error) {
		task.Logf("over the wire")
		handled <- task.Job
		return []byte("result"), nil
	}, worker.Config{Types: []string{"render"}, Tags: map[string]string{"gpu": "yes"}})
	if err != nil {
		t.Fatal(err)
	}
	draining, drain := context.WithCancel(ctx)
	working := make(chan error, 1)
	go func() { working <- w.Run(draining) }()

	posted, err := a.Enqueue(ctx, queue.Posting{Type: "render", Tags: map[string]string{"gpu": "yes"}, Payload: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	job := <-handled
	drain()
	if err := <-working; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if job.ID != posted[0].ID || job.Tags != posted[0].Tags || string(job.Payload) != "x" {
		t.Errorf("got %+v", job)
	}
	stored, err := store.Jobs(ctx, queue.Filter{IDs: []uuid.UUID{job.ID}})
	if err != nil || stored[0].State != queue.Succeeded || string(stored[0].Result) != "result" {
		t.Errorf("stored %+v, %v", stored, err)
	}
	lines, err := store.Lines(ctx, job.ID, 0, 10)
	if err != nil || len(lines) != 1 || lines[0].Text != "over the wire" {
		t.Errorf("lines %+v, %v", lines, err)
	}
	if _, err := source.Renew(ctx, queue.Report{Handout: job.Handout()}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("a report after the end: %v", err)
	}
	if _, err := source.AcquireJob(ctx, queue.Request{Silence: -1}); !errors.Is(err, invalid.Err) {
		t.Errorf("a request with a silence of its own: %v", err)
	}
	server.Close()
	stop()
	<-running
}
