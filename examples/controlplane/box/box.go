//go:build unix

// Package box is a workspace: a small web server in a folder and at a port of its own, which says by a file when it was used.
package box

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse/prewarm/localprocess"
)

// Files in the folder of the process: where it listens, that it does, and, by the time of the file, when it was used last.
const (
	AddressFile = "address"
	readyFile   = "ready"
	UsedFile    = "used"
)

// HomeEnv names the folder that stays when the workspace stops, NameEnv its name.
const (
	HomeEnv = "PLANE_HOME"
	NameEnv = "PLANE_NAME"
)

// host is another name of this machine than that of the control plane: browsers send cookies to every port of one host, and what runs
// in a workspace must not be shown those of the pages.
const host = "127.0.0.2"

// beat is how often an open connection counts as use.
const beat = 2 * time.Second

// Main is the process of a workspace. It ends by SIGTERM, and nothing that it has in its home is lost.
func Main() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	folder := os.Getenv(localprocess.DirEnv)
	if folder == "" {
		return fmt.Errorf("%s is not set: a workspace is started by a worker", localprocess.DirEnv)
	}
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		return err
	}
	b := &box{folder: folder, home: os.Getenv(HomeEnv), name: os.Getenv(NameEnv), began: time.Now()}
	server := b.server()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := b.announce("http://" + listener.Addr().String()); err != nil {
		return err
	}
	b.note()
	go b.watch(ctx)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// box is a workspace that runs.
type box struct {
	folder, home, name string
	began              time.Time
	open               atomic.Int64
	mu                 sync.Mutex // over the count of visits
}

// announce says where the workspace is, and then that it is ready.
func (b *box) announce(address string) error {
	path := filepath.Join(b.folder, AddressFile)
	if err := os.WriteFile(path+".new", []byte(address), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.folder, readyFile), nil, 0o600)
}

// note adds a line to a list of all processes that this workspace had.
func (b *box) note() {
	f, err := os.OpenFile(filepath.Join(b.home, "starts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, os.Getpid(), b.began.Format(time.RFC3339Nano))
		_ = f.Close()
	}
}

// server ends connections on which nothing comes: as long as one is open, the workspace is in use.
func (b *box) server() *http.Server {
	return &http.Server{Handler: b, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, ConnState: b.connection}
}

// connection counts those that are open.
func (b *box) connection(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		b.open.Add(1)
		b.used()
	case http.StateClosed, http.StateHijacked:
		b.open.Add(-1)
		b.used()
	}
}

// watch counts connections that stay open as use.
func (b *box) watch(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if b.open.Load() > 0 {
				b.used()
			}
		}
	}
}

func (b *box) used() { _ = os.WriteFile(filepath.Join(b.folder, UsedFile), nil, 0o600) }

// ServeHTTP shows that the workspace is there, and that its home has outlived its processes.
func (b *box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/crash" && r.Method == http.MethodPost { // to see what a control plane does about it
		os.Exit(1)
	}
	visits := b.visit()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintf(w, "<!doctype html><title>%[1]s</title><h1>%[1]s</h1><p>This process (%d) has been running for %s. Visit number %d, kept in its home.</p>\n",
		html.EscapeString(b.name), os.Getpid(), time.Since(b.began).Round(time.Second), visits)
}

// visit counts in the home, which stays when the process ends.
func (b *box) visit() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	path := filepath.Join(b.home, "visits")
	text, _ := os.ReadFile(path)
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	n++
	_ = os.WriteFile(path, []byte(strconv.Itoa(n)), 0o600)
	return n
}
