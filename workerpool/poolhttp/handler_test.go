package poolhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/poolhttp"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// operated is a pool with one worker that runs a job, behind a handler that knows two people.
func operated(t *testing.T) (*workerpool.Pool, http.Handler) {
	provider, queue := workerpooltest.NewProvider(nil), workerpooltest.NewQueue(nil)
	queue.Add(workerpool.Job{ID: "a"}, workerpool.Job{ID: "big", Needs: workerpool.Resources{Slots: 9}})
	pool, err := workerpool.New(provider, provider, queue, workerpool.Config{
		Limits: workerpool.Limits{Types: []workerpool.InstanceType{{Name: "small", Price: 1, Room: workerpool.Resources{Slots: 1}}}},
		Logger: slog.New(slog.DiscardHandler), OperationsPerSecond: 1000, BootInterval: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	changed, _ := pool.Subscribe()
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for pool.Counts().Workers[workerpool.Running] == 0 {
		<-changed
	}
	handler, err := poolhttp.New(pool, func(r *http.Request, write bool) (string, error) {
		user, _, ok := r.BasicAuth()
		switch {
		case !ok:
			return "", errors.New("nobody")
		case write && user != "ann":
			return user, errors.New("reads only")
		}
		return user, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pool, handler
}

func ask(h http.Handler, user, method, path string) (int, string) {
	r := httptest.NewRequest(method, path, nil)
	if user != "" {
		r.SetBasicAuth(user, "x")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestWhoMayDoWhat(t *testing.T) {
	_, h := operated(t)
	for _, test := range []struct {
		user, method, path string
		want               int
	}{
		{"", "GET", "/status", 401},
		{"", "POST", "/workers/kill?id=i-00001&reason=x", 401},
		{"bob", "GET", "/workers", 200},
		{"bob", "POST", "/workers/hold?id=i-00001", 403},
		{"ann", "GET", "/workers/hold?id=i-00001", 405},
		{"ann", "POST", "/workers/hold", 400},
		{"ann", "POST", "/workers/hold?id=nobody", 404},
		{"ann", "POST", "/workers/hold?id=i-00001&until=tomorrow", 400},
		{"ann", "POST", "/workers/hold?id=i-00001&for=-1h", 400},
		{"ann", "POST", "/workers/kill?id=i-00001", 400},
		{"ann", "POST", "/jobs/kill?id=nothing&reason=x", 404},
		{"ann", "POST", "/try?key=nothing", 404},
		{"ann", "POST", "/brakes/release?for=48h", 400},
		{"ann", "POST", "/brakes/release?for=1h", 200},
		{"ann", "GET", "/job?id=nothing", 404},
		{"ann", "GET", "/elsewhere", 404},
	} {
		if got, body := ask(h, test.user, test.method, test.path); got != test.want {
			t.Errorf("%s %s by %q: %d %s, want %d", test.method, test.path, test.user, got, body, test.want)
		}
	}
	r := httptest.NewRequest("POST", "/workers/hold?id=i-00001", nil)
	r.SetBasicAuth("ann", "x")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("a request that another site makes in ann's browser: %d", w.Code)
	}
}

func TestOperating(t *testing.T) {
	pool, h := operated(t)
	if code, body := ask(h, "ann", "POST", "/workers/hold?id=i-00001&reason=look&for=1h"); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	w, err := pool.Worker("i-00001")
	if b := w.Behavior; err != nil || b.Idle != workerpool.BehaviorHold || b.Owner != "ann" || b.Reason != "look" || time.Until(b.Until) < 59*time.Minute {
		t.Errorf("%+v, %v", w.Behavior, err)
	}
	_, body := ask(h, "bob", "GET", "/worker?id=i-00001")
	if !strings.Contains(body, `"State":"running"`) || !strings.Contains(body, "ann put it on hold (look)") || strings.Contains(body, w.Secret.String()) {
		t.Errorf("worker: %s", body)
	}
	if _, body := ask(h, "bob", "GET", "/job?id=big"); !strings.Contains(body, `"Reason":"no_type"`) {
		t.Errorf("job: %s", body)
	}
	var status poolhttp.Status
	if _, body := ask(h, "bob", "GET", "/status"); json.Unmarshal([]byte(body), &status) != nil || status.Workers["running"] != 1 || status.Jobs != 1 {
		t.Errorf("status %s", body)
	}
	if _, body := ask(h, "bob", "GET", "/workers?state=idle"); body != "[]\n" {
		t.Errorf("idle workers: %s", body)
	}
	changed, _ := pool.Subscribe()
	if code, body := ask(h, "ann", "POST", "/workers/kill?id=i-00001&reason=test"); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	for pool.Stats().Shutdowns[workerpool.ReasonKilled] == 0 {
		<-changed
	}
}

func TestHandlerNeedsItsParts(t *testing.T) {
	if _, err := poolhttp.New(nil, nil); err == nil {
		t.Error("a handler without a pool")
	}
	if _, err := poolhttp.New(&workerpool.Pool{}, nil); err == nil {
		t.Error("a handler that is open to all")
	}
}
