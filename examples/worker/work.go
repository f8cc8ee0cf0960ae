package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/examples/worker/httpsource"
)

// runWorker works until ctx ends, and then drains.
func runWorker(ctx context.Context, name, url string) error {
	say := func(format string, args ...any) {
		fmt.Printf("%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	handler := func(ctx context.Context, t *worker.Task) ([]byte, error) {
		say("begins %q, attempt %d", t.Job.Payload, t.Job.Attempt)
		for percent := 0; percent < 100; percent += 25 {
			t.Progress(percent, "rendering")
			t.Logf("%d %%", percent)
			wait(ctx, 200*time.Millisecond)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
		return []byte("done by " + name), nil
	}
	w, err := worker.New(httpsource.New(url, os.Getenv(tokenVariable), http.DefaultClient), handler, worker.Config{
		Types: []string{"render"}, Slots: 2, Silence: 3 * time.Second, Flush: 250 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), // the worker prints what matters itself
	})
	if err != nil {
		return err
	}
	err = w.Run(ctx)
	say("has drained and leaves")
	return err
}
