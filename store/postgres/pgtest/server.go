package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotFound says that there is no PostgreSQL to be had.
var ErrNotFound = errors.New("PostgreSQL not found")

// ErrForeign says that a server was not started here and is not ours to stop.
var ErrForeign = errors.New("the server of " + EnvDSN + " is not ours to stop")

// Options say how a server is started. The zero value is a fast one that would not survive a crash of the machine.
type Options struct {
	// Durable leaves fsync on: for benchmarks, and for tests that kill the server.
	Durable bool
	// Settings are server settings besides, by name.
	Settings map[string]string
}

// Server is a running PostgreSQL.
type Server struct {
	dsn string // of a foreign server

	bin, dir string
	args     []string
	user     *syscall.Credential
	cmd      *exec.Cmd
	exited   chan struct{}
	leash    io.Closer
}

// Start returns the server that the environment names, or starts one. The error is [ErrNotFound] if there is neither.
func Start(ctx context.Context, o Options) (*Server, error) {
	if dsn := os.Getenv(EnvDSN); dsn != "" {
		return &Server{dsn: dsn}, nil
	}
	return StartOwn(ctx, o)
}

// StartOwn starts a server whatever the environment says, for tests that stop and kill it.
func StartOwn(ctx context.Context, o Options) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, args: o.args()}
	if s.user, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	if err := s.create(ctx); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

// create makes the cluster and starts it.
func (s *Server) create(ctx context.Context) error {
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return err
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"),
		"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.user}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := s.attachLeash(); err != nil {
		return err
	}
	return s.Launch(ctx)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// leash waits for its input to end, which happens when this process closes it or dies of whatever, then ends the server
// and removes its directory.
const leash = `
	cat >/dev/null
	pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
	rm -rf "$1"`

func (s *Server) attachLeash() error {
	cmd := exec.Command("/bin/sh", "-c", leash, "pgtest-leash", s.dir)
	// A group of its own: an interrupt from the terminal must not end it before its work is done. And it is the server's user: what
	// it ends is named in a file that this user can write, and must be no more than this user may end.
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.user}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.leash = leashHandle{in, cmd}
	return nil
}

type leashHandle struct {
	io.Closer
	cmd *exec.Cmd
}

// Close ends the server and waits until its directory is gone.
func (l leashHandle) Close() error {
	_ = l.Closer.Close()
	return l.cmd.Wait()
}

// args are the server's settings as arguments.
func (o Options) args() []string {
	settings := map[string]string{
		"listen_addresses": "", "max_connections": "200", "shared_buffers": "128MB", "log_min_messages": "fatal",
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
	}
	if o.Durable {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "on", "on", "on"
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	var args []string
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// Launch starts the server of a cluster that exists, after [Server.Stop] or [Server.Kill], and waits until it answers.
func (s *Server) Launch(ctx context.Context) error {
	if s.dsn != "" {
		return ErrForeign
	}
	var log bytes.Buffer
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), append([]string{"-D", s.data(), "-k", s.dir}, s.args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, &log, &log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Setpgid: true}
	// Its children may outlive it for a moment and keep its output open.
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.exited = exited
	go func() {
		_ = s.cmd.Wait()
		close(exited)
	}()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("start postgres: it ended: %s", log.String())
		case <-ctx.Done():
			return fmt.Errorf("start postgres: %w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// DSN returns the connection string of a database, "" for the server's own.
func (s *Server) DSN(database string) string {
	if s.dsn == "" {
		if database == "" {
			database = "postgres"
		}
		return fmt.Sprintf("host=%s port=5432 user=postgres dbname=%s sslmode=disable", s.dir, database)
	}
	cfg, err := pgx.ParseConfig(s.dsn)
	if err != nil || database == "" {
		return s.dsn
	}
	if strings.Contains(s.dsn, "://") {
		head, query, found := strings.Cut(s.dsn, "?")
		head = strings.TrimSuffix(head, "/"+cfg.Database) + "/" + database
		if found {
			return head + "?" + query
		}
		return head
	}
	return s.dsn + " dbname=" + database
}

// Stop ends the server in an orderly way, cutting its connections.
func (s *Server) Stop(ctx context.Context) error { return s.end(ctx, syscall.SIGINT) }

// Kill ends the server at once, as a crash would.
func (s *Server) Kill(ctx context.Context) error { return s.end(ctx, syscall.SIGKILL) }

// Restart stops and launches.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Launch(ctx)
}

func (s *Server) end(ctx context.Context, signal syscall.Signal) error {
	if s.dsn != "" {
		return ErrForeign
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the server and removes its directory. It is not needed at the end of a test binary.
func (s *Server) Close() error {
	if s.dsn != "" {
		return nil
	}
	return s.leash.Close()
}
