// Package slow is for tests of servers: clients that take for ever with what they send, or do not take what they are sent. It works
// within a synctest bubble, where minutes pass at once.
package slow

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Client is one that begins with a text and goes on with another a byte each second, for as long as it is let. It reads what it is
// sent, unless it is Deaf.
type Client struct {
	Begin, Drip string
	Deaf        bool
}

// Clients are those that every server meets. Path takes a POST, and header has all lines that it needs from somebody who is known. The
// name says what they do.
func Clients(path, header string) map[string]Client {
	post := func(path, header, more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + header + more + "\r\n"
	}
	chunk := "1\r\n \r\n"
	return map[string]Client{
		"headers without an end":             {Begin: "POST " + path + " HTTP/1.1\r\nHost: x\r\n", Drip: "X: y\r\n"},
		"a body that does not come":          {Begin: post(path, header, "Content-Length: 100\r\n")},
		"a body a byte at a time":            {Begin: post(path, header, "Content-Length: 200000\r\n"), Drip: " "},
		"a long body a byte at a time":       {Begin: post(path, header, "Content-Length: 4000000\r\n"), Drip: " "},
		"chunks without an end":              {Begin: post(path, header, "Transfer-Encoding: chunked\r\n"), Drip: chunk},
		"nobody's that does not come":        {Begin: post(path, "", "Content-Length: 100\r\n")},
		"nobody's a byte at a time":          {Begin: post(path, "", "Content-Length: 200000\r\n"), Drip: " "},
		"nobody's chunks without an end":     {Begin: post(path, "", "Transfer-Encoding: chunked\r\n"), Drip: chunk},
		"a body to no path":                  {Begin: post("/nothing", header, "Content-Length: 100\r\n")},
		"a body of another site":             {Begin: post(path, header, "Sec-Fetch-Site: cross-site\r\nContent-Length: 100\r\n")},
		"a body with a GET":                  {Begin: "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + header + "Content-Length: 100\r\n\r\n"},
		"a connection that is only kept":     {},
		"one that is kept after its request": {Begin: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	}
}

// Hold returns for how long a client held its connection to a server, or an hour if it has it still. The server is over afterwards.
func Hold(server *http.Server, c Client) time.Duration {
	gone := make(chan struct{})
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(gone)
		}
	}
	var all sync.WaitGroup
	conn := Dial(server, &all)
	begun := time.Now()
	all.Go(func() {
		_, err := io.WriteString(conn, c.Begin)
		for c.Drip != "" && err == nil {
			for i := 0; i < len(c.Drip) && err == nil; i++ {
				time.Sleep(time.Second)
				_, err = conn.Write([]byte{c.Drip[i]})
			}
		}
	})
	if !c.Deaf {
		all.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	}
	select {
	case <-gone:
	case <-time.After(time.Hour):
	}
	held := time.Since(begun)
	_ = conn.Close()
	_ = server.Close()
	all.Wait()
	return held
}

// Dial begins to serve, and returns a connection that is in memory. Close the server, and wait, when it is over.
func Dial(server *http.Server, all *sync.WaitGroup) net.Conn {
	l := listener{make(chan net.Conn), make(chan struct{})}
	all.Go(func() { _ = server.Serve(l) })
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error { close(l.closed); return nil }

func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
