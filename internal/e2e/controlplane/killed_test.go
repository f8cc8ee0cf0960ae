package controlplane_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

var rounds = flag.Int("kill.rounds", 3, "how often TestKilledAtAnyMoment kills the control plane")

type records struct {
	Items []dormouse.BuildRecord `json:"items"`
}

// The control plane is killed at any moment of whatever it does. What it has acknowledged is there afterwards, what runs goes on, each
// workspace that runs has one process and was never started twice for one build, and no process is left over.
func TestKilledAtAnyMoment(t *testing.T) {
	w := newWorld(t)
	r := w.start("-pool", "0", "-idle", "3s", "-look", "500ms", "-rate", "10000")
	ann := r.as("ann")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var acknowledged []uuid.UUID
	for round := range *rounds {
		done := make(chan []uuid.UUID, 1)
		plans := rand.New(rand.NewPCG(seed, uint64(round)))
		go func() { done <- work(ann, round, plans) }()
		time.Sleep(time.Duration(random.IntN(1200)) * time.Millisecond)
		r.kill()
		r.begin()
		acknowledged = append(acknowledged, <-done...)
	}
	w.until("all builds to end", func() bool {
		for _, id := range acknowledged {
			switch ann.get(id).Status {
			case lifecycle.StatusRunning, lifecycle.StatusStopped, lifecycle.StatusDeleted, lifecycle.StatusNew:
			default:
				return false
			}
		}
		return true
	})
	checkProcesses(w, ann, acknowledged)
}

// work asks for many things at once, again and again until each is answered, and returns the workspaces that were made. Half of them
// are stopped again, and some are started anew.
func work(c caller, round int, random *rand.Rand) (made []uuid.UUID) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range 6 {
		then := []string{"stop", "stop", "restart", ""}[random.IntN(4)]
		pause := time.Duration(random.IntN(500)) * time.Millisecond
		all.Go(func() {
			a, err := c.insist("POST", "/workspaces", fmt.Sprintf(`{"template":"web","name":"ws-%d-%d","start":true}`, round, i))
			var ws dormouse.Workspace
			if err != nil || a.Code != http.StatusOK || json.Unmarshal(a.Body, &ws) != nil {
				c.r.w.Errorf("make: %d %s %v", a.Code, a.Body, err)
				return
			}
			mu.Lock()
			made = append(made, ws.ID)
			mu.Unlock()
			time.Sleep(pause)
			if then != "" { // refused while the start is under way, which is an answer too
				if _, err := c.insist("POST", "/workspaces/"+ws.ID.String()+"/"+then, ""); err != nil {
					c.r.w.Error(err)
				}
			}
		})
	}
	all.Wait()
	return made
}

// A first start that is killed in the middle is done again, and whole: there are tokens, and each workspace of the demonstration once.
func TestKilledAtTheFirstStart(t *testing.T) {
	w := newWorld(t)
	r := &replica{w: w, scheme: "http", address: freeAddress(t), log: &bytes.Buffer{}}
	r.args = []string{"-listen", r.address, "-data", w.data, "-pool", "0", "-workers", "0"}
	for range 5 {
		cmd := exec.Command(programs.plane, r.args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	w.replicas = append(w.replicas, r)
	r.begin()
	names := map[string]int{}
	for _, ws := range call[list](r.as("admin"), "GET", "/workspaces", "").Items {
		names[ws.Owner+" "+ws.Name]++
	}
	if want := map[string]int{"ann api": 1, "ann scratch": 1, "ben notebook": 1, "ben training": 1, "ben stack": 1}; !maps.Equal(names, want) {
		t.Errorf("after a first start in five pieces there are %v", names)
	}
	call[dormouse.Workspace](r.as("ann"), "GET", "/me", "")
}

func checkProcesses(w *world, c caller, all []uuid.UUID) {
	w.Helper()
	known := make(map[uuid.UUID]bool)
	live := w.processes()
	builds := 0
	for _, id := range all {
		known[id] = true
		ws := c.get(id)
		runs := ws.Status == lifecycle.StatusRunning
		if n := len(live[id]); runs && (n != 1 || !answers(ws.Result)) || !runs && n != 0 {
			w.Errorf("%s is %s and has processes %v, address %q", ws.Name, ws.Status, live[id], ws.Result)
		}
		starts := 0
		for _, b := range call[records](c, "GET", "/workspaces/"+id.String()+"/builds", "").Items {
			builds++
			if b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded {
				starts++
			}
			if b.Status != lifecycle.JobSucceeded {
				w.Errorf("%s: build %d %s: %s", ws.Name, b.Number, b.Status, b.Error)
			}
		}
		if n := lines(filepath.Join(w.data, "homes", id.String(), "starts")); n != starts {
			w.Errorf("%s had %d processes for %d starts", ws.Name, n, starts)
		}
	}
	w.Logf("%d workspaces, %d builds, %d kills", len(all), builds, *rounds)
	for id := range live {
		if ws := c.r.as("admin").get(id); ws.Status != lifecycle.StatusRunning {
			w.Errorf("a process is left of %s, which is %s", ws.Name, ws.Status)
		}
	}
}

func lines(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// A process that ends by itself is noticed, and shown with who has noticed it.
func TestCrashIsNoticed(t *testing.T) {
	w := newWorld(t)
	r := w.start("-pool", "0", "-look", "300ms")
	ann := r.as("ann")
	ws := ann.create("fragile", `,"start":true`)
	ws = ann.settles(ws.ID, lifecycle.StatusRunning)
	if host, _, _ := strings.Cut(r.address, ":"); strings.Contains(ws.Result, host+":") {
		t.Errorf("it is at %s: a browser would show it the cookies of the pages at %s", ws.Result, r.address)
	}
	apart(t, ws.ID)
	crash(t, ws.Result)
	ann.settles(ws.ID, lifecycle.StatusStopped)
	b := call[records](ann, "GET", "/workspaces/"+ws.ID.String()+"/builds?limit=1", "").Items[0]
	if b.Reason != lifecycle.ReasonObserved || b.Initiator != "watcher" {
		t.Errorf("after a crash: %+v", b)
	}
	call[dormouse.Workspace](ann, "POST", "/workspaces/"+ws.ID.String()+"/start", "")
	if again := ann.settles(ws.ID, lifecycle.StatusRunning); !answers(again.Result) {
		t.Errorf("started again, it does not answer at %q", again.Result)
	}
}

// apart looks at the environment of a workspace's processes: it has what they need, and nothing of their control plane's.
func apart(t *testing.T, id uuid.UUID) {
	t.Helper()
	looked := 0
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte("DORMOUSE_RESOURCE="+id.String())) {
			continue
		}
		looked++
		if bytes.Contains(env, []byte(hostSecret)) {
			t.Errorf("%s: a workspace has the environment of the control plane", file)
		}
	}
	if looked == 0 {
		t.Error("no process of the workspace was found")
	}
}

// A member of a warm pool that ends by itself is replaced, and what is left of it is removed, before anybody is given it.
func TestCrashInThePoolIsNoticed(t *testing.T) {
	w := newWorld(t)
	r := w.start("-demo=false", "-pool", "1", "-look", "300ms")
	admin := r.as("admin")
	warm := func() (ws dormouse.Workspace) {
		w.until("a member that is up", func() bool {
			for _, one := range call[list](admin, "GET", "/workspaces?status=managed", "").Items {
				if ws = one; answers(ws.Result) {
					return true
				}
			}
			return false
		})
		return ws
	}
	first := warm()
	crash(t, first.Result)
	w.until("what is left of it to be deleted", func() bool {
		a, err := admin.try("GET", "/workspaces/"+first.ID.String(), "")
		return err == nil && (a.Code == http.StatusNotFound || bytes.Contains(a.Body, []byte(`"status":"deleted"`)))
	})
	if next := warm(); next.ID == first.ID {
		t.Error("the member that has ended is there again")
	}
	if n := len(w.processes()[first.ID]); n != 0 {
		t.Errorf("%d processes are left of it", n)
	}
}

// crash ends a workspace's process from within.
func crash(t *testing.T, address string) {
	t.Helper()
	response, err := http.Post(address+"/crash", "", nil)
	if err == nil { // it should not have had the time to answer
		_ = response.Body.Close()
		t.Errorf("a crash answered %s", response.Status)
	}
}
