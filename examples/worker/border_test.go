package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/worker/httpsource"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What is not a worker's request gets nothing, and what fails inside says nothing of the inside.
func TestBorders(t *testing.T) {
	a, err := acquirer.New(memory.NewJobs(), nil, acquirer.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() { running <- a.Run(ctx) }()
	ada, eve := rand.Text(), rand.Text()
	workers, err := registered("ada=" + ada + " eve=" + eve)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(control{a, workers, slog.New(slog.DiscardHandler)}.handler())

	json := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + ada}}
	with := func(name, value string) http.Header {
		h := json.Clone()
		h.Set(name, value)
		return h
	}
	for name, c := range map[string]struct {
		path, body string
		header     http.Header
		want       int
	}{
		"no token":               {"/acquire", `{}`, http.Header{"Content-Type": {"application/json"}}, 401},
		"an unknown token":       {"/acquire", `{}`, with("Authorization", "Bearer "+rand.Text()), 401},
		"a form":                 {"/acquire", `{}`, with("Content-Type", "text/plain"), 415},
		"another site's page":    {"/acquire", `{}`, with("Sec-Fetch-Site", "cross-site"), 403},
		"another origin":         {"/acquire", `{}`, with("Origin", "https://evil.example"), 403},
		"not JSON":               {"/renew", `{`, json, 400},
		"an unknown field":       {"/end", `{"Process2":"x"}`, json, 400},
		"a verdict":              {"/end", `{"Process":"00000000-0000-0000-0000-000000000001"}`, json, 400},
		"something behind":       {"/renew", `{} {}`, json, 400},
		"too long":               {"/acquire", `{"Types":["` + strings.Repeat("x", smallBody) + `"]}`, json, 400},
		"a report of a stranger": {"/renew", `{"Lease":{"Job":"00000000-0000-0000-0000-000000000001","Fence":1}}`, json, 409},
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = c.header
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", name, response.Status, c.want)
		}
	}

	// Another worker's token does not help with a hand-out that was overheard.
	posted, err := a.Enqueue(ctx, queue.Posting{Type: "render", Payload: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	job, err := httpsource.New(server.URL, ada, server.Client()).AcquireJob(waiting, queue.Request{Types: []string{"render"}})
	if err != nil || job.ID != posted[0].ID {
		t.Fatal(job, err)
	}
	thief := httpsource.New(server.URL, eve, server.Client())
	if _, err := thief.Renew(ctx, queue.Report{Handout: job.Handout()}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("a report with another token: %v", err)
	}
	if got, err := thief.End(ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); !errors.Is(err, queue.ErrLeaseLost) || got.Payload != nil {
		t.Errorf("an end with another token: %+v, %v", got, err)
	}
	server.Close()
	stop()
	<-running
}
