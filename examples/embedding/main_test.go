package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// TestMain lets the test's own binary be the control plane and its workspaces.
func TestMain(m *testing.M) {
	if os.Getenv("BE_EMBEDDING") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// plane is a control plane in a process of its own.
type plane struct {
	*testing.T
	data string
	url  string
	cmd  *exec.Cmd
}

func (p *plane) begin() {
	p.Helper()
	p.cmd = exec.Command(os.Args[0], "-address", "127.0.0.1:0", "-data", p.data)
	p.cmd.Env = append(os.Environ(), "BE_EMBEDDING=1")
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	p.must(err)
	p.must(p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	p.must(err)
	p.url = "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

func (p *plane) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *plane) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// call sends a request and reads the answer into body.
func (p *plane) call(method, path, send string, body any) int {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, p.url+path, strings.NewReader(send))
	p.must(err)
	r.Header.Set("X-User", "ann")
	response, err := http.DefaultClient.Do(r)
	p.must(err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	p.must(err)
	if err := json.Unmarshal(text, body); err != nil {
		p.Fatalf("%s %s answered %s: %v", method, path, text, err)
	}
	return response.StatusCode
}

func (p *plane) create(name string) dormouse.Workspace {
	p.Helper()
	var w dormouse.Workspace
	if code := p.call("POST", "/workspaces", fmt.Sprintf(`{"owner":"ann","name":%q}`, name), &w); code != 200 {
		p.Fatalf("create answered %d", code)
	}
	return w
}

func (p *plane) ask(w dormouse.Workspace, verb string) {
	p.Helper()
	var after dormouse.Workspace
	if code := p.call("POST", "/workspaces/"+w.ID.String()+"/"+verb, "", &after); code != 200 {
		p.Fatalf("%s answered %d", verb, code)
	}
}

// until waits for a status.
func (p *plane) until(w dormouse.Workspace, want lifecycle.Status) {
	p.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		p.call("GET", "/workspaces/"+w.ID.String(), "", &w)
		if w.Status == want {
			return
		}
		// Shorter than the hand-off's own look, which finds what nobody was told of: nothing may need it here.
		if time.Since(begun) > 25*time.Second {
			var why dormouse.Explanation
			p.call("GET", "/workspaces/"+w.ID.String()+"/why", "", &why)
			p.Fatalf("%s is %v, want %v: %s", w.Name, w.Status, want, why.Summary)
		}
	}
}

// runs reports whether the process of a workspace is there.
func (p *plane) runs(w dormouse.Workspace) bool {
	conn, err := net.Dial("unix", filepath.Join(p.data, w.ID.String()))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func begin(t *testing.T) *plane {
	data, err := os.MkdirTemp("", "plane") // short: the names of sockets are
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{T: t, data: data}
	p.begin()
	t.Cleanup(func() {
		p.kill()
		p.sweep()
		_ = os.RemoveAll(data)
	})
	return p
}

// sweep ends what a test that failed has left.
func (p *plane) sweep() {
	sockets, _ := filepath.Glob(filepath.Join(p.data, "*-*-*"))
	for _, socket := range sockets {
		if conn, err := net.Dial("unix", socket); err == nil {
			_, _ = io.WriteString(conn, "quit")
			_ = conn.Close()
		}
	}
}

// The README says how long the server is.
func TestLength(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "\n"); n > 259 {
		t.Errorf("the server has %d lines, and the README says some 250", n)
	}
}

// A control plane that is killed in the middle of its builds carries on, and what runs goes on meanwhile.
func TestKilledAndBack(t *testing.T) {
	p := begin(t)
	steady := p.create("steady")
	p.ask(steady, "start")
	p.until(steady, lifecycle.StatusRunning)
	socket, err := os.Stat(filepath.Join(p.data, steady.ID.String()))
	p.must(err)

	var all []dormouse.Workspace
	for round := range 3 {
		for i := range 4 {
			all = append(all, p.create(fmt.Sprintf("ws-%d-%d", round, i)))
		}
		for _, w := range all[round*4:] {
			p.ask(w, "start")
		}
		p.kill()
		begun := time.Now()
		if !p.runs(steady) {
			t.Fatal("a workspace ended with the control plane")
		}
		p.begin()
		up := time.Since(begun)
		for _, w := range all {
			p.until(w, lifecycle.StatusRunning)
		}
		t.Logf("round %d: listens again after %v, all builds done after %v", round, up.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	}
	for _, w := range all {
		var builds []dormouse.BuildRecord
		p.call("GET", "/workspaces/"+w.ID.String()+"/builds", "", &builds)
		if len(builds) != 1 || builds[0].Status != lifecycle.JobSucceeded || !p.runs(w) {
			t.Errorf("%s: runs %t, builds %+v; want one that succeeded", w.Name, p.runs(w), builds)
		}
	}
	if now, err := os.Stat(filepath.Join(p.data, steady.ID.String())); err != nil || !os.SameFile(socket, now) {
		t.Errorf("what ran all the time is another process now: %v", err)
	}
	for _, w := range append(all, steady) {
		p.ask(w, "delete")
		p.ask(w, "delete") // a double click
	}
	for _, w := range append(all, steady) {
		p.until(w, lifecycle.StatusDeleted)
		if p.runs(w) {
			t.Errorf("%s runs although it is deleted", w.Name)
		}
	}
	p.must(p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("asked to end, it ended with %v", err)
	}
}

func TestAPI(t *testing.T) {
	p := begin(t)
	w := p.create("api")
	p.ask(w, "start")
	p.until(w, lifecycle.StatusRunning)
	p.ask(w, "restart")
	p.until(w, lifecycle.StatusRunning)
	if code := p.call("POST", "/workspaces/"+w.ID.String()+"/extend?by=20h", "", &w); code != 200 || time.Until(w.Deadline) < 19*time.Hour {
		t.Errorf("extend answered %d, deadline %v", code, w.Deadline)
	}
	var problem dormouse.Problem
	for path, want := range map[string]int{
		"/workspaces/" + w.ID.String() + "/extend?by=soon":       422,
		"/workspaces/" + w.ID.String() + "/schedule?hours=never": 422,
		"/workspaces/7/start": 422,
		"/workspaces/" + strings.Repeat("0", 8) + "-0000-0000-0000-000000000000" + "/start": 404,
	} {
		if code := p.call("POST", path, "", &problem); code != want || problem.Status != want {
			t.Errorf("%s answered %d %+v, want %d", path, code, problem, want)
		}
	}
	p.ask(w, "delete")
	p.until(w, lifecycle.StatusDeleted)
}
