// Package controlplane_test runs the control plane of the examples as its users do, and does to it what the world does.
package controlplane_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/browser"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

// programs are those that the tests run.
var programs struct{ plane, ctl string }

func TestMain(m *testing.M) {
	localprocess.Init()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "controlplane")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programs.plane, programs.ctl = filepath.Join(dir, "controlplane"), filepath.Join(dir, "dormousectl")
	const examples = "github.com/dormouse-go/dormouse/examples/"
	build := exec.Command("go", "build", "-o", dir, examples+"controlplane", examples+"dormousectl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	return browser.Main(m)
}

// world is a folder with workspaces, and the replicas over it.
type world struct {
	*testing.T
	data     string
	replicas []*replica
}

// replica is one control plane.
type replica struct {
	w       *world
	scheme  string
	address string
	args    []string
	cmd     *exec.Cmd
	log     *bytes.Buffer
	down    chan struct{}
}

// newWorld begins a test, which has a folder, ports and a control plane of its own, beside others.
func newWorld(t *testing.T) *world {
	t.Parallel()
	data, err := os.MkdirTemp("", "plane") // its name is part of those of sockets, and has to be short
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, data: data}
	t.Cleanup(w.clear)
	return w
}

// clear ends everything that the test has left.
func (w *world) clear() {
	for _, r := range w.replicas {
		r.kill()
	}
	if provider, err := localprocess.New(filepath.Join(w.data, "workers", "machines"), localprocess.Config{}); err == nil {
		all, _ := provider.List(context.Background(), nil)
		for _, in := range all {
			_ = provider.Destroy(context.Background(), in.ID)
		}
	}
	for _, pids := range w.processes() {
		for _, pid := range pids {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if w.Failed() {
		for _, r := range w.replicas {
			w.Logf("log of %s:\n%s", r.address, tail(r.log.String()))
		}
	}
	_ = os.RemoveAll(w.data)
}

func tail(s string) string {
	if len(s) > 6000 {
		return ".." + s[len(s)-6000:]
	}
	return s
}

// start begins a replica on a free port, and startTLS one with a certificate.
func (w *world) start(args ...string) *replica    { w.Helper(); return w.startAt("http", args...) }
func (w *world) startTLS(args ...string) *replica { w.Helper(); return w.startAt("https", args...) }

func (w *world) startAt(scheme string, args ...string) *replica {
	w.Helper()
	address := freeAddress(w.T)
	r := &replica{w: w, scheme: scheme, address: address, args: append([]string{"-listen", address, "-data", w.data}, args...), log: &bytes.Buffer{}}
	w.replicas = append(w.replicas, r)
	r.begin()
	return r
}

// ports are handed out once each. They are below those that the machine gives to whoever asks for any, so that nobody takes the
// port of a replica that is down for a moment.
var ports atomic.Int32

func freeAddress(t *testing.T) string {
	t.Helper()
	const first, all = 20_000, 10_000
	for range all {
		address := fmt.Sprintf("127.0.0.1:%d", first+(os.Getpid()*31+int(ports.Add(1)))%all)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// hostSecret is in the environment of every control plane, and so of its workers.
const hostSecret = "PLANE_E2E_PASSWORD=of-the-host"

// begin starts the process of a replica and waits until it answers.
func (r *replica) begin() {
	r.w.Helper()
	r.cmd = exec.Command(programs.plane, r.args...)
	r.cmd.Env = append(os.Environ(), hostSecret)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.w.Fatal(err)
	}
	down := make(chan struct{})
	r.down = down
	go func(cmd *exec.Cmd) { _ = cmd.Wait(); close(down) }(r.cmd)
	r.w.until("the control plane to be ready", func() bool {
		select {
		case <-down:
			r.w.Fatalf("it ended:\n%s", tail(r.log.String()))
		default:
		}
		response, err := client.Get(r.url() + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func (r *replica) url() string { return r.scheme + "://" + r.address }

// kill is kill -9.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	<-r.down
}

// until waits for something, for longer than anything takes.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	for begun := time.Now(); !is(); time.Sleep(30 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			w.Fatalf("waited for %s", what)
		}
	}
}

// token is one of those that were made at the first start.
func (w *world) token(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.data, "tokens.txt"))
	if err != nil {
		w.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == name {
			return fields[2]
		}
	}
	w.Fatalf("no token of %s", name)
	return ""
}

// client takes any certificate: which one it is, is for the tests to know.
var client = http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// caller is somebody with a token.
type caller struct {
	r     *replica
	token string
}

func (r *replica) as(name string) caller { return caller{r, r.w.token(name)} }

// answer is what came back.
type answer struct {
	Code   int
	Body   []byte
	Header http.Header
	Took   time.Duration
}

// try sends a request. The error is that of the connection.
func (c caller) try(method, path, body string, header ...string) (a answer, err error) {
	request, err := http.NewRequest(method, c.r.url()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, text, response.Header, time.Since(begun)}, err
}

// call sends a request that has to succeed.
func call[T any](c caller, method, path, body string, header ...string) (v T) {
	c.r.w.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		c.r.w.Fatalf("%s %s: %v", method, path, err)
	}
	if a.Code >= 300 {
		c.r.w.Fatalf("%s %s: %d %s", method, path, a.Code, a.Body)
	}
	if len(a.Body) > 0 {
		if err := json.Unmarshal(a.Body, &v); err != nil {
			c.r.w.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	return v
}

// insist repeats a request under one key until it is answered, whatever happens to the control plane meanwhile.
func (c caller) insist(method, path, body string) (a answer, err error) {
	key := rand.Text()
	for begun := time.Now(); time.Since(begun) < 2*time.Minute; time.Sleep(50 * time.Millisecond) {
		a, err = c.try(method, path, body, "Idempotency-Key", key)
		if err == nil && a.Code < 500 && a.Code != http.StatusTooManyRequests && !bytes.Contains(a.Body, []byte("in_progress")) {
			return a, nil
		}
	}
	return a, fmt.Errorf("%s %s: not answered: %d %s: %w", method, path, a.Code, a.Body, err)
}

func (c caller) create(name, more string) dormouse.Workspace {
	c.r.w.Helper()
	return call[dormouse.Workspace](c, "POST", "/workspaces", fmt.Sprintf(`{"template":"web","name":%q%s}`, name, more), "Idempotency-Key", rand.Text())
}

func (c caller) get(id uuid.UUID) dormouse.Workspace {
	c.r.w.Helper()
	return call[dormouse.Workspace](c, "GET", "/workspaces/"+id.String(), "")
}

// settles waits for a status.
func (c caller) settles(id uuid.UUID, want lifecycle.Status) (w dormouse.Workspace) {
	c.r.w.Helper()
	c.r.w.until(fmt.Sprintf("%s to be %s", id, want), func() bool {
		w = c.get(id)
		return w.Status == want
	})
	return w
}

// processes are those of workspaces that live on this machine, by workspace: the leaders of their sessions.
func (w *world) processes() map[uuid.UUID][]int {
	found := make(map[uuid.UUID][]int)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil || !bytes.Contains(env, []byte("DORMOUSE_DIR="+w.data)) {
			continue
		}
		if id, ok := workspaceOf(env); ok && leads(pid) {
			found[id] = append(found[id], pid)
		}
	}
	return found
}

func workspaceOf(env []byte) (uuid.UUID, bool) {
	for _, v := range bytes.Split(env, []byte{0}) {
		if text, ok := bytes.CutPrefix(v, []byte("DORMOUSE_RESOURCE=")); ok {
			id, err := uuid.Parse(string(text))
			return id, err == nil
		}
	}
	return uuid.Nil, false
}

func leads(pid int) bool {
	session, err := syscall.Getpgid(pid)
	return err == nil && session == pid
}

// visitor lets go of a connection: one that stays open is use, and moves deadlines.
var visitor = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// answers reports whether a workspace's process does.
func answers(address string) bool {
	response, err := visitor.Get(address)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func unmarshal(body []byte, v any) error { return json.Unmarshal(body, v) }
