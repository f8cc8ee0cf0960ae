package controlplane_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

var loadFor = flag.Duration("load.duration", 5*time.Second, "how long TestThreeReplicas asks three replicas")

// freshDatabase makes a database and returns its URL.
func freshDatabase(t *testing.T) string {
	t.Helper()
	server := pgtest.Shared(t)
	name := "plane_" + strings.ReplaceAll(uuid.NewString()[:13], "-", "")
	if err := server.CreateDatabase(t.Context(), name, "template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.DropDatabase(context.Background(), name) })
	dsn := server.DSN(name)
	if strings.Contains(dsn, "://") {
		return dsn
	}
	u := url.URL{Scheme: "postgres", Path: "/"}
	q := url.Values{}
	for field := range strings.FieldsSeq(dsn) {
		key, value, _ := strings.Cut(field, "=")
		if key == "dbname" {
			key = "database"
		}
		q.Set(key, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// load is what a bounded number of clients have seen.
type load struct {
	mu     sync.Mutex
	took   map[string][]time.Duration
	refuse map[int]int
	broken atomic.Int64
	errors []string
	made   []uuid.UUID
}

func (l *load) note(what string, a answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.broken.Add(1)
	case a.Code >= 500:
		l.errors = append(l.errors, fmt.Sprintf("%s: %d %s", what, a.Code, a.Body))
	case a.Code >= 400:
		l.refuse[a.Code]++
	}
	if err == nil {
		l.took[what] = append(l.took[what], a.Took)
	}
}

// Three replicas share a database, and one is killed under load: the others answer, nothing that was acknowledged is lost, and only
// the connections to the one that was killed break.
func TestThreeReplicas(t *testing.T) {
	w := newWorld(t)
	dsn := freshDatabase(t)
	args := []string{"-database", dsn, "-pool", "0", "-rate", "100000", "-idle", "5s"}
	var clients []caller
	for range 3 {
		r := w.start(args...)
		clients = append(clients, r.as("ann"))
	}
	l := &load{took: map[string][]time.Duration{}, refuse: map[int]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), *loadFor)
	defer cancel()
	var killed atomic.Bool
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() { l.run(ctx, clients, &killed, i) })
	}
	time.Sleep(*loadFor / 2)
	killed.Store(true)
	w.replicas[0].kill() // the one that has the elastic workers
	all.Wait()
	l.report(t)
	if len(l.errors) > 0 {
		t.Errorf("%d server errors, the first %s", len(l.errors), l.errors[0])
	}
	survivor := clients[1]
	for _, id := range l.made {
		if ws := survivor.get(id); ws.ID != id {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	last := call[struct{ ID uuid.UUID }](survivor, "POST", "/workspaces", `{"template":"web","name":"after the kill","start":true}`)
	if ws := survivor.settles(last.ID, lifecycle.StatusRunning); !answers(ws.Result) {
		t.Errorf("a workspace that was started after the kill does not answer")
	}
}

// least is how often each client asks, however slow the machine is: for each thing at least once.
const least = 26

// run asks one replica after another for this and that.
func (l *load) run(ctx context.Context, clients []caller, killed *atomic.Bool, seed int) {
	random := rand.New(rand.NewPCG(uint64(seed), 7))
	for n := 0; ctx.Err() == nil || n < least; n++ {
		c := clients[random.IntN(len(clients))]
		if killed.Load() && c.r == clients[0].r && random.IntN(10) > 0 { // a balancer notices soon
			continue
		}
		switch {
		case n%25 == 0 && n < 250:
			a, err := c.try("POST", "/workspaces", fmt.Sprintf(`{"template":"web","name":"load-%d-%d"}`, seed, n))
			l.note("make", a, err)
			if err == nil && a.Code == 200 {
				l.keep(a.Body)
			}
		case n%5 == 0:
			a, err := c.try("GET", "/workspaces?limit=20", "")
			l.note("list", a, err)
		default:
			l.touch(c, random, n)
		}
	}
}

func (l *load) keep(body []byte) {
	var ws struct{ ID uuid.UUID }
	if unmarshal(body, &ws) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.made = append(l.made, ws.ID)
	}
}

// touch reads or changes one of the workspaces.
func (l *load) touch(c caller, random *rand.Rand, n int) {
	l.mu.Lock()
	if len(l.made) == 0 {
		l.mu.Unlock()
		return
	}
	id := l.made[random.IntN(len(l.made))].String()
	l.mu.Unlock()
	switch n % 3 {
	case 0:
		a, err := c.try("PUT", "/workspaces/"+id+"/ttl", fmt.Sprintf(`{"ttl":"%dh"}`, 1+random.IntN(20)))
		l.note("change", a, err)
	case 1:
		a, err := c.try("GET", "/workspaces/"+id+"/explain", "")
		l.note("explain", a, err)
	default:
		a, err := c.try("GET", "/workspaces/"+id, "")
		l.note("get", a, err)
	}
}

func (l *load) report(t *testing.T) {
	t.Logf("connections broken %d, refused %v, server errors %d", l.broken.Load(), l.refuse, len(l.errors))
	for _, what := range []string{"make", "list", "get", "explain", "change"} {
		d := l.took[what]
		if len(d) == 0 {
			t.Errorf("nothing of %q", what)
			continue
		}
		slices.Sort(d)
		t.Logf("%-8s %5d answers  p50 %6.1f ms  p99 %6.1f ms  worst %6.1f ms", what, len(d), ms(d[len(d)/2]), ms(d[len(d)*99/100]), ms(d[len(d)-1]))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
