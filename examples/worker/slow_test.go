package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/internal/slow"
	"github.com/dormouse-go/dormouse/store/memory"
)

// stage runs a function beside a control plane that knows one token, within a bubble.
func stage(t *testing.T, token string, do func(t *testing.T, a *acquirer.Acquirer, server *http.Server)) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		a, err := acquirer.New(memory.NewJobs(), nil, acquirer.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		workers, err := registered("ada=" + token)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = a.Run(ctx)
		}()
		do(t, a, control{a, workers, quiet}.server())
		stop()
		<-ended
	})
}

func post(t *testing.T, a *acquirer.Acquirer) {
	t.Helper()
	if _, err := a.Enqueue(t.Context(), queue.Posting{Type: "render", Payload: make([]byte, 1<<20)}); err != nil {
		t.Fatal(err)
	}
}

// Whoever is slow, or never comes to an end, has no connection for much longer than a minute, with a token and without one.
func TestNobodyIsSlowForLong(t *testing.T) {
	token := rand.Text()
	header := "Content-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n"
	clients := slow.Clients("/acquire", header)
	clients["a payload that nobody reads"] = slow.Client{Begin: "POST /acquire HTTP/1.1\r\nHost: x\r\n" + header + "Content-Length: 2\r\n\r\n{}", Deaf: true}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			stage(t, token, func(t *testing.T, a *acquirer.Acquirer, server *http.Server) {
				post(t, a)
				if held := slow.Hold(server, c); held > 75*time.Second {
					t.Errorf("held for %s", held)
				}
			})
		})
	}
}

// A request for a job may wait for as long as its long poll, and has what was posted meanwhile.
func TestLongPollIsNotCutOff(t *testing.T) {
	token := rand.Text()
	stage(t, token, func(t *testing.T, a *acquirer.Acquirer, server *http.Server) {
		var all sync.WaitGroup
		conn := slow.Dial(server, &all)
		answers := bufio.NewReader(conn)
		for _, want := range []int{http.StatusNoContent, http.StatusOK, http.StatusNoContent} {
			fmt.Fprintf(conn, "POST /acquire HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", token)
			if want == http.StatusOK {
				time.Sleep(longPoll - time.Second)
				post(t, a)
			}
			response, err := http.ReadResponse(answers, nil)
			if err != nil || response.StatusCode != want {
				t.Fatalf("%+v, %v, want %d", response, err, want)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close()
		_ = server.Close()
		all.Wait()
	})
}
