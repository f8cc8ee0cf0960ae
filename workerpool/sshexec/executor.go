// Package sshexec runs a worker pool's commands over SSH.
//
// It keeps one connection for each instance and opens a session for each command; a connection that fails, or on which a
// command runs into its time, is closed, with the other commands on it, and made anew for the next one. Commands run in the
// login shell of the user. One with a standard input is run by sh after the input has come as a whole, in a temporary file: the end of a
// connection looks like the end of the input, and half a script must not be run.
//
// Whoever answers at an address must prove to be the instance: [Config].HostKey is asked for each connection and has no
// default. A fresh cloud instance has keys that nobody has seen; let its init script print them to a place that the host
// trusts, or sign them, or put the target's secret on it and let [SecretCheck] compare.
package sshexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Config says how to connect. User, Auth and HostKey are required.
type Config struct {
	User string
	Auth []ssh.AuthMethod
	// HostKey decides whether a key is that of the instance.
	HostKey func(target workerpool.Target, key ssh.PublicKey) error
	// Check is called on each new connection, before any command of the pool, and may run commands itself; an error
	// closes the connection. Defaults to nil.
	Check func(ctx context.Context, target workerpool.Target, run func(command string) (string, error)) error
	// Port, for addresses without one. Defaults to "22".
	Port string
	// DialTimeout bounds the making of a connection, beyond the command's own time. Defaults to 30 seconds.
	DialTimeout time.Duration
}

// Executor is a [workerpool.Executor] and a [workerpool.Forgetter]. It is safe for concurrent use.
type Executor struct {
	cfg Config

	mu          sync.Mutex
	closed      bool
	connections map[workerpool.InstanceID]*connection
}

// connection is one that is being made, or made.
type connection struct {
	address string
	done    chan struct{} // closed when client and err are set
	client  *ssh.Client
	err     error
}

// ErrClosed is what a closed executor answers.
var ErrClosed = errors.New("ssh executor is closed")

// New returns an executor. Close ends its connections.
func New(cfg Config) (*Executor, error) {
	switch {
	case cfg.User == "":
		return nil, invalid.New("Config.User", "", "is required")
	case len(cfg.Auth) == 0:
		return nil, invalid.New("Config.Auth", 0, "one method is required at least")
	case cfg.HostKey == nil:
		return nil, invalid.New("Config.HostKey", "nil", "is required: whoever answers must prove to be the instance")
	}
	if err := invalid.Duration("Config.DialTimeout", cfg.DialTimeout); err != nil {
		return nil, err
	}
	cfg.Port = cmp.Or(cfg.Port, "22")
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 30*time.Second)
	return &Executor{cfg: cfg, connections: make(map[workerpool.InstanceID]*connection)}, nil
}

// Run implements [workerpool.Executor].
func (e *Executor) Run(ctx context.Context, target workerpool.Target, command string, stdin io.Reader, stdout io.Writer) error {
	client, err := e.client(ctx, target)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", target.ID, err)
	}
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	err = run(ctx, client, whole(command, len(input)), bytes.NewReader(input), stdout)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.drop(target.ID, client) // the fault may be the connection's
	}
	return err
}

// whole is a command that runs only after all of its standard input has come. A connection that breaks ends the input like any other end
// would: the command would take a part for the whole, and a runner would start a job whose script breaks off somewhere.
func whole(command string, size int) string {
	if size == 0 {
		return command
	}
	// The file has no name any more when the input comes: whatever becomes of the shell, nothing is left of it.
	script := fmt.Sprintf(`f=$(mktemp) || exit
exec 3> "$f" 4< "$f" 5< "$f"
rm -f "$f"
cat >&3
exec 3>&-
if [ "$(($(wc -c <&4)))" -ne %d ]; then echo "the standard input was cut short" >&2; exit 1; fi
(
%s
) <&5 4<&- 5<&-`, size, command)
	return "sh -c " + quoted(script)
}

// quoted is a word of a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// run is one session. When it must end before its command does, the connection is closed with it: a server keeps a session
// open until the command has ended, whatever the client says.
func run(ctx context.Context, client *ssh.Client, command string, stdin io.Reader, stdout io.Writer) error {
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		_ = session.Signal(ssh.SIGKILL)
		_ = client.Close()
	})
	defer stop()
	var stderr head
	session.Stdin, session.Stdout, session.Stderr = stdin, refusing{stdout, cancel}, &stderr
	err = session.Run(command)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && stderr.Len() > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return err
}

// refusing ends the session when its reader has enough; otherwise the command would wait for ever to be read.
type refusing struct {
	io.Writer
	cancel context.CancelCauseFunc
}

// Write implements io.Writer.
func (r refusing) Write(b []byte) (int, error) {
	n, err := r.Writer.Write(b)
	if err != nil {
		r.cancel(err)
	}
	return n, err
}

// head keeps the beginning of what a command complains about.
type head struct{ bytes.Buffer }

// Write implements io.Writer.
func (h *head) Write(b []byte) (int, error) {
	const most = 1024
	h.Buffer.Write(b[:min(len(b), max(0, most-h.Len()))])
	return len(b), nil
}

// client returns the connection of an instance, made by whoever asks first. It is made on a context of its own: the one
// who asked first may give up while others still wait.
func (e *Executor) client(ctx context.Context, target workerpool.Target) (*ssh.Client, error) {
	address := target.Address
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, e.cfg.Port)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	c := e.connections[target.ID]
	if c != nil && c.address != address { // the instance has moved
		go c.close()
		c = nil
	}
	if c == nil {
		c = &connection{address: address, done: make(chan struct{})}
		e.connections[target.ID] = c
		go e.connect(context.WithoutCancel(ctx), c, target)
	}
	e.mu.Unlock()
	select {
	case <-c.done:
		return c.client, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// connect makes a connection; one that fails is forgotten.
func (e *Executor) connect(ctx context.Context, c *connection, target workerpool.Target) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.DialTimeout) //nolint:forbidigo // sockets have real time
	defer cancel()
	client, err := e.dial(ctx, c.address, target)
	e.mu.Lock()
	defer e.mu.Unlock()
	c.client, c.err = client, err
	close(c.done)
	current := e.connections[target.ID] == c
	if err != nil && current {
		delete(e.connections, target.ID)
	}
	if err == nil && !current { // forgotten meanwhile
		client.Close()
	}
}

func (e *Executor) dial(ctx context.Context, address string, target workerpool.Target) (*ssh.Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // the handshake knows no context
	defer stop()
	secured, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: e.cfg.User, Auth: e.cfg.Auth,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { return e.cfg.HostKey(target, key) },
	})
	if err != nil {
		conn.Close()
		return nil, errors.Join(context.Cause(ctx), err)
	}
	client := ssh.NewClient(secured, channels, requests)
	if e.cfg.Check != nil {
		err = e.cfg.Check(ctx, target, func(command string) (string, error) {
			out := &limited{}
			err := run(ctx, client, command, bytes.NewReader(nil), out)
			return out.String(), err
		})
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("check of %s: %w", target.ID, err)
		}
	}
	return client, nil
}

// limited bounds what a check reads.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > 64<<10 {
		return 0, errors.New("too much output")
	}
	return l.Buffer.Write(b)
}

// SecretCheck returns a [Config].Check that compares the target's secret with a file on the instance, which the init
// script has put there. An instance whose secret is not known fails.
func SecretCheck(path string) func(context.Context, workerpool.Target, func(string) (string, error)) error {
	return func(_ context.Context, target workerpool.Target, run func(string) (string, error)) error {
		text, err := run("cat '" + path + "'")
		switch {
		case err != nil:
			return err
		case target.Secret == workerpool.Secret{} || string(bytes.TrimSpace([]byte(text))) != target.Secret.String():
			return errors.New("it has another secret than the instance")
		}
		return nil
	}
}

// drop closes a connection that failed.
func (e *Executor) drop(id workerpool.InstanceID, client *ssh.Client) {
	e.mu.Lock()
	if c := e.connections[id]; c != nil && c.client == client {
		delete(e.connections, id)
	}
	e.mu.Unlock()
	client.Close()
}

// Forget implements [workerpool.Forgetter].
func (e *Executor) Forget(id workerpool.InstanceID) {
	e.mu.Lock()
	c := e.connections[id]
	delete(e.connections, id)
	e.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// close waits for a connection to be made, and closes it.
func (c *connection) close() {
	<-c.done
	if c.client != nil {
		c.client.Close()
	}
}

// Close ends all connections, and with them the commands that run. It returns when they are closed, and may be called
// again.
func (e *Executor) Close() error {
	e.mu.Lock()
	e.closed = true
	all := e.connections
	e.connections = make(map[workerpool.InstanceID]*connection)
	e.mu.Unlock()
	for _, c := range all {
		c.close()
	}
	return nil
}
