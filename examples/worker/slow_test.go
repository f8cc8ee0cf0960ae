package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// pipes is a listener whose connections are in memory, so that minutes pass at once in a bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// drip writes a text a byte each second until it is not taken any more.
func drip(c net.Conn, text string) {
	for text != "" {
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// staged is a control plane within a bubble, and a connection to it.
type staged struct {
	*testing.T
	acquirer *acquirer.Acquirer
	conn     net.Conn
	gone     chan struct{} // closed with the connection
}

// stage runs a function beside a control plane that knows one token.
func stage(t *testing.T, token string, do func(s staged)) {
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
		s := staged{T: t, acquirer: a, gone: make(chan struct{})}
		server := control{a, workers, quiet}.server()
		server.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(s.gone)
			}
		}
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		var all sync.WaitGroup
		all.Go(func() { _ = a.Run(ctx) })
		all.Go(func() { _ = server.Serve(listener) })
		s.conn = listener.dial()
		do(s)
		_ = s.conn.Close()
		_ = server.Close()
		stop()
		all.Wait()
	})
}

func (s staged) post() {
	s.Helper()
	if _, err := s.acquirer.Enqueue(s.Context(), queue.Posting{Type: "render", Payload: make([]byte, 1<<20)}); err != nil {
		s.Fatal(err)
	}
}

// Whoever is slow, or never comes to an end, has no connection for longer than a minute, with a token and without one.
func TestNobodyIsSlowForLong(t *testing.T) {
	token := rand.Text()
	head := func(path, token, more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n" + more + "\r\n"
	}
	for name, c := range map[string]struct{ begin, drip string }{
		"headers without an end":             {"POST /acquire HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"},
		"a body that does not come":          {head("/acquire", token, "Content-Length: 100\r\n"), ""},
		"a body a byte at a time":            {head("/renew", token, "Content-Length: 4000000\r\n"), " "},
		"chunks without an end":              {head("/end", token, "Transfer-Encoding: chunked\r\n"), "1\r\n \r\n"},
		"the body of nobody":                 {head("/acquire", "x", "Content-Length: 100\r\n"), ""},
		"nobody's a byte at a time":          {head("/acquire", "x", "Content-Length: 200000\r\n"), " "},
		"nobody's chunks without an end":     {head("/renew", "x", "Transfer-Encoding: chunked\r\n"), "1\r\n \r\n"},
		"a body to no path":                  {head("/nothing", "x", "Content-Length: 100\r\n"), ""},
		"a body of another site":             {head("/acquire", token, "Sec-Fetch-Site: cross-site\r\nContent-Length: 100\r\n"), ""},
		"a job whose payload nobody reads":   {head("/acquire", token, "Content-Length: 2\r\n") + "{}", ""},
		"a connection that is only kept":     {"", ""},
		"one that is kept after its request": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			stage(t, token, func(s staged) {
				s.post()
				begun := time.Now()
				var all sync.WaitGroup
				all.Go(func() {
					_, _ = io.WriteString(s.conn, c.begin)
					drip(s.conn, c.drip)
				})
				if !strings.Contains(name, "nobody reads") {
					all.Go(func() { _, _ = io.Copy(io.Discard, s.conn) })
				}
				select {
				case <-s.gone:
				case <-time.After(10 * time.Minute):
				}
				if took := time.Since(begun); took > time.Minute+10*time.Second {
					t.Errorf("it has its connection after %s", took)
				}
				_ = s.conn.Close()
				all.Wait()
			})
		})
	}
}

// A request for a job may wait for as long as its long poll, and has what was posted meanwhile.
func TestLongPollIsNotCutOff(t *testing.T) {
	token := rand.Text()
	stage(t, token, func(s staged) {
		answers := bufio.NewReader(s.conn)
		for _, want := range []int{http.StatusNoContent, http.StatusOK, http.StatusNoContent} {
			fmt.Fprintf(s.conn, "POST /acquire HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", token)
			if want == http.StatusOK {
				time.Sleep(longPoll - time.Second)
				s.post()
			}
			response, err := http.ReadResponse(answers, nil)
			if err != nil || response.StatusCode != want {
				t.Fatalf("%+v, %v, want %d", response, err, want)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
		}
	})
}
