package main

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/internal/slow"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Whoever is slow, or never comes to an end, has no connection for much longer than a minute.
func TestNobodyIsSlowForLong(t *testing.T) {
	clients := slow.Clients("/workspaces", "X-User: ann\r\n")
	clients["an answer that nobody reads"] = slow.Client{Begin: "GET /workspaces HTTP/1.1\r\nHost: x\r\n\r\n", Deaf: true}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plane, err := dormouse.New(memory.New(), dormouse.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				if held := slow.Hold(api{Plane: plane}.server(), c); held > 75*time.Second {
					t.Errorf("held for %s", held)
				}
			})
		})
	}
}
