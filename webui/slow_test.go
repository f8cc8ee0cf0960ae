package webui_test

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/webui"
)

// wire is a listener of one connection in memory, in which minutes pass at once within a bubble.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l wire) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l wire) Close() error   { close(l.closed); return nil }
func (l wire) Addr() net.Addr { return &net.UnixAddr{} }

// held returns for how long a server keeps a connection on which somebody says something, and no more.
func held(t *testing.T, server *http.Server, said string) time.Duration {
	l := wire{make(chan net.Conn), make(chan struct{})}
	gone := make(chan struct{})
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(gone)
		}
	}
	ours, theirs := net.Pipe()
	var all sync.WaitGroup
	all.Go(func() { _ = server.Serve(l) })
	l.conns <- theirs
	all.Go(func() { _, _ = io.Copy(io.Discard, ours) })
	begun := time.Now()
	if _, err := io.WriteString(ours, said); err != nil {
		t.Error(err)
	}
	select {
	case <-gone:
	case <-time.After(time.Hour):
	}
	took := time.Since(begun)
	_ = ours.Close()
	_ = server.Close()
	all.Wait()
	return took
}

// A form that does not come holds its connection for no longer than a minute, whoever sends it and wherever to: a server with streams
// cannot have a ReadTimeout. One that has bounds forms by that, unless it is the longer one.
func TestFormsThatDoNotCome(t *testing.T) {
	nobody := func(*http.Request) (webui.Viewer, bool) { return webui.Viewer{}, false }
	for name, c := range map[string]struct {
		begin   string
		viewer  func(*http.Request) (webui.Viewer, bool)
		timeout time.Duration
	}{
		"an action":              {begin: "POST /act HTTP/1.1\r\n", viewer: operator},
		"working hours":          {begin: "POST /mine HTTP/1.1\r\n", viewer: operator},
		"with a GET":             {begin: "GET / HTTP/1.1\r\n", viewer: operator},
		"somebody who is no one": {begin: "POST /act HTTP/1.1\r\n", viewer: nobody},
		"to nothing":             {begin: "POST /nothing HTTP/1.1\r\n", viewer: nobody},
		"no form":                {begin: "POST /act HTTP/1.1\r\nContent-Type: text/plain\r\n", viewer: operator},
		"from another site":      {begin: "POST /act HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n", viewer: operator},
		"a shorter ReadTimeout":  {begin: "POST /act HTTP/1.1\r\n", viewer: operator, timeout: 5 * time.Second},
		"a longer ReadTimeout":   {begin: "POST /act HTTP/1.1\r\n", viewer: operator, timeout: time.Hour},
	} {
		for length, header := range map[string]string{"of a known length": "Content-Length: 100\r\n\r\nx", "in chunks": "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"} {
			t.Run(name+" "+length, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newPages(t, &static{}, webui.Config{Viewer: c.viewer, Actions: true, Clock: quartz.NewReal()})
					server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: c.timeout, IdleTimeout: time.Minute}
					took := held(t, server, c.begin+"Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"+header)
					if most := min(time.Minute, cmp.Or(2*c.timeout, time.Minute)); took > most {
						t.Errorf("held for %s", took)
					}
				})
			})
		}
	}
}
