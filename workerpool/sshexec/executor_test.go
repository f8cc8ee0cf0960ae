package sshexec_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/sshexec"
)

// sshd finds the server, and installs it where that is possible.
var sshd = sync.OnceValues(func() (string, error) {
	find := func() string {
		for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
		return ""
	}
	if path := find(); path != "" {
		return path, nil
	}
	install := exec.Command("sh", "-c", "apt-get update -qq && apt-get install -qq -y --no-install-recommends openssh-server")
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("sshd is not installed and cannot be (Debian: apt-get install openssh-server): %w\n%s", err, out)
	}
	return find(), nil
})

// server is a real sshd on loopback.
type server struct {
	address string
	hostKey ssh.PublicKey
	client  ssh.Signer
	user    string
	cmd     *exec.Cmd
	config  string
}

func key(t *testing.T) (ssh.Signer, []byte) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func serve(t *testing.T) *server {
	t.Helper()
	path, err := sshd()
	switch {
	case err != nil && os.Getenv("DORMOUSE_TEST_REQUIRE_SSHD") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it gives up its privileges
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host, hostText := key(t)
	client, _ := key(t)
	port := freePort(t)
	config := fmt.Sprintf(`Port %s
ListenAddress 127.0.0.1
HostKey %s/host
AuthorizedKeysFile %s/authorized
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin yes
PermitUserEnvironment no
MaxStartups 100
MaxSessions 100
`, port, dir, dir)
	for name, text := range map[string][]byte{"host": hostText, "authorized": ssh.MarshalAuthorizedKey(client.PublicKey()), "config": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{address: "127.0.0.1:" + port, hostKey: host.PublicKey(), client: client, user: me.Username, config: filepath.Join(dir, "config")}
	s.start(t, path)
	t.Cleanup(s.stop)
	return s
}

// freePort is below the ports that the machine gives to whoever asks for any, so that nobody takes it before the server has it, nor
// while the server is down.
func freePort(t *testing.T) string {
	t.Helper()
	const first, all = 10_000, 10_000
	begin := mathrand.IntN(all)
	for i := range all {
		port := strconv.Itoa(first + (begin+i)%all)
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (s *server) start(t *testing.T, path string) {
	t.Helper()
	s.cmd = exec.Command(path, "-D", "-e", "-f", s.config)
	log, err := os.Create(s.config + ".log") // a file: the processes of sessions that go on would keep a pipe open
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			s.stop()
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("sshd does not answer: %s", text)
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) options(change func(*sshexec.Config)) sshexec.Config {
	cfg := sshexec.Config{
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.client)}, DialTimeout: 2 * time.Minute,
		HostKey: func(_ workerpool.Target, key ssh.PublicKey) error {
			if !bytes.Equal(key.Marshal(), s.hostKey.Marshal()) {
				return errors.New("another host")
			}
			return nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func (s *server) executor(t *testing.T, change func(*sshexec.Config)) *sshexec.Executor {
	t.Helper()
	e, err := sshexec.New(s.options(change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func (s *server) target() workerpool.Target {
	return workerpool.Target{ID: "i", Address: s.address, Secret: workerpool.Secret{1, 2, 3}}
}

func run(e *sshexec.Executor, target workerpool.Target, command, stdin string) (string, error) {
	var out bytes.Buffer
	err := e.Run(context.Background(), target, command, strings.NewReader(stdin), &out)
	return out.String(), err
}

func TestCommands(t *testing.T) {
	s := serve(t)
	e := s.executor(t, nil)
	if out, err := run(e, s.target(), "cat; echo $((1+1))", "hello "); err != nil || out != "hello 2\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(e, s.target(), "echo bad >&2; exit 4", ""); err == nil || !strings.Contains(err.Error(), "status 4") || !strings.Contains(err.Error(), "bad") {
		t.Errorf("%v", err)
	}
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			if out, err := run(e, s.target(), fmt.Sprint("echo ", i), ""); err != nil || out != fmt.Sprintln(i) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	callers.Wait()
}

func TestCommandEndsWithItsContextAndItsReader(t *testing.T) {
	s := serve(t)
	e := s.executor(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := e.Run(ctx, s.target(), "sleep 1000", strings.NewReader(""), io.Discard); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 2*time.Minute {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	full := errors.New("enough")
	if err := e.Run(t.Context(), s.target(), "yes", strings.NewReader(""), refusing{full}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if out, err := run(e, s.target(), "echo on", ""); err != nil || out != "on\n" {
		t.Errorf("the next command: %q, %v", out, err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

func TestWhoAnswersMustBeTheInstance(t *testing.T) {
	s := serve(t)
	stranger, _ := key(t)
	e := s.executor(t, func(c *sshexec.Config) {
		c.HostKey = func(workerpool.Target, ssh.PublicKey) error { return errors.New("another host") }
	})
	if _, err := run(e, s.target(), "true", ""); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("another key: %v", err)
	}
	e = s.executor(t, func(c *sshexec.Config) { c.Auth = []ssh.AuthMethod{ssh.PublicKeys(stranger)} })
	if _, err := run(e, s.target(), "true", ""); err == nil {
		t.Error("a stranger was let in")
	}
	secret := filepath.Join(t.TempDir(), "secret")
	e = s.executor(t, func(c *sshexec.Config) { c.Check = sshexec.SecretCheck(secret) })
	right := s.target().Secret.String() + "\n"
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"wrong", false},
		{right, true},
		{"wrong", true}, // the connection has been checked
	} {
		if err := os.WriteFile(secret, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(e, s.target(), "true", ""); (err == nil) != c.ok {
			t.Errorf("secret %q: %v", c.text, err)
		}
	}
	e.Forget(s.target().ID)
	if _, err := run(e, s.target(), "true", ""); err == nil {
		t.Error("a new connection is not checked")
	}
}

// A server that restarts costs one failed command at most.
func TestReconnects(t *testing.T) {
	s := serve(t)
	e := s.executor(t, nil)
	if _, err := run(e, s.target(), "true", ""); err != nil {
		t.Fatal(err)
	}
	path, _ := sshd()
	s.stop()
	// The connection's own process still serves it; end that too, as a machine that goes down does.
	_, _ = run(e, s.target(), "kill -9 $PPID", "")
	if _, err := run(e, s.target(), "true", ""); err == nil {
		t.Fatal("a server that is down answers")
	}
	s.start(t, path)
	if out, err := run(e, s.target(), "echo again", ""); err != nil || out != "again\n" {
		t.Errorf("%q, %v", out, err)
	}
	e.Forget("i")
	e.Forget("i")
	if _, err := run(e, s.target(), "true", ""); err != nil {
		t.Errorf("after Forget: %v", err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if _, err := run(e, s.target(), "true", ""); !errors.Is(err, sshexec.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A connection that breaks in the middle of the standard input must not look like its end: half a script would be run.
func TestInputThatIsCutShortIsNotRun(t *testing.T) {
	s := serve(t)
	const size = 1 << 20
	input := strings.Repeat("x", size)
	for _, most := range []int64{1 << 16, size / 2, size, math.MaxInt64} {
		e := s.executor(t, nil)
		dir := t.TempDir()
		target := s.target()
		target.Address = relay(t, s.address, most)
		out, err := run(e, target, fmt.Sprintf("(echo begun > %s/begun; cat > %s/input); echo \"it's $((1+1))\"", dir, dir), input)
		if most > 2*size {
			if text, _ := os.ReadFile(dir + "/input"); err != nil || out != "it's 2\n" || string(text) != input {
				t.Errorf("as a whole: %q, %v, %d bytes", out, err, len(text))
			}
			continue
		}
		if err == nil {
			t.Errorf("cut after %d bytes: no error", most)
		}
		for deadline := time.Now().Add(time.Minute); atWork(t, dir); { // the session goes on without its connection
			if time.Now().After(deadline) {
				t.Fatalf("cut after %d bytes: the session does not end", most)
			}
		}
		if _, err := os.Stat(dir + "/begun"); err == nil {
			text, _ := os.ReadFile(dir + "/input")
			t.Errorf("cut after %d bytes: run with %d of %d bytes", most, len(text), size)
		}
	}
}

// atWork reports whether a process of this machine has a text in its command line.
func atWork(t *testing.T, text string) bool {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatalf("%d processes, %v", len(lines), err)
	}
	return slices.ContainsFunc(lines, func(path string) bool {
		line, _ := os.ReadFile(path) // one that has ended meanwhile has none
		return bytes.Contains(line, []byte(text))
	})
}

// relay passes a connection on until it has sent the server so many bytes, and hangs up on both.
func relay(t *testing.T, address string, most int64) (through string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		far, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer far.Close()
		go func() { _, _ = io.Copy(near, far) }()
		_, _ = io.CopyN(far, near, most)
	}()
	return listener.Addr().String()
}

// The runner's verbs, as a pool uses them on an SSH host: a job outlives the session that started it.
func TestRunnerOverSSH(t *testing.T) {
	s := serve(t)
	e := s.executor(t, nil)
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/dormouse-runner", "github.com/dormouse-go/dormouse/workerpool/runner/dormouse-runner")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	runner := fmt.Sprintf("DORMOUSE_RUNNER_DIR=%s/jobs %s/dormouse-runner ", dir, dir)
	if _, err := run(e, s.target(), runner+"start job", "sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if out, err := run(e, s.target(), runner+"list", ""); err != nil || out != "job\n" {
		t.Fatalf("%q, %v", out, err)
	}
	e.Forget("i")
	if out, err := run(e, s.target(), runner+"list", ""); err != nil || out != "job\n" {
		t.Fatalf("after the connection's end: %q, %v", out, err)
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); { // the script may not have begun
		if _, err := run(e, s.target(), runner+"kill job", ""); err != nil {
			t.Fatal(err)
		}
		out, err := run(e, s.target(), runner+"list", "")
		if err != nil {
			t.Fatal(err)
		}
		if out == "job exit 143\n" {
			return
		}
	}
	t.Error("the job does not end")
}

func TestRefusedInput(t *testing.T) {
	if _, err := sshexec.New(sshexec.Config{}); !errors.Is(err, invalid.Err) {
		t.Errorf("%v", err)
	}
	if _, err := sshexec.New(sshexec.Config{User: "x", Auth: []ssh.AuthMethod{ssh.Password("")}}); err == nil || !strings.Contains(err.Error(), "Config.HostKey") {
		t.Errorf("%v", err)
	}
	for _, d := range []time.Duration{-1, math.MinInt64, invalid.MaxDuration + 1, math.MaxInt64} {
		_, err := sshexec.New(sshexec.Config{
			User: "x", Auth: []ssh.AuthMethod{ssh.Password("")}, DialTimeout: d,
			HostKey: func(workerpool.Target, ssh.PublicKey) error { return nil },
		})
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != "Config.DialTimeout" || refused.Value != d {
			t.Errorf("DialTimeout %d: %v, want a refusal by name", d, err)
		}
	}
}
