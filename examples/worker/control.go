package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// longPoll is how long a worker's request for a job is kept open: below what proxies cut off.
const longPoll = 20 * time.Second

// control is the control plane: three verbs over an acquirer.
type control struct{ acquirer *acquirer.Acquirer }

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /acquire", c.acquire)
	mux.HandleFunc("POST /renew", c.renew)
	mux.HandleFunc("POST /end", c.end)
	return mux
}

// acquire keeps the request open until there is a job. If the worker has gone by then, the request's context has
// ended and the job goes to another one.
func (c control) acquire(w http.ResponseWriter, r *http.Request) {
	request, ok := read[queue.Request](w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), longPoll)
	defer cancel()
	job, err := c.acquirer.AcquireJob(ctx, request)
	if errors.Is(err, context.DeadlineExceeded) {
		w.WriteHeader(http.StatusNoContent) // ask again
		return
	}
	answer(w, job, err)
}

func (c control) renew(w http.ResponseWriter, r *http.Request) {
	if report, ok := read[queue.Report](w, r); ok {
		canceled, err := c.acquirer.Renew(r.Context(), report)
		answer(w, canceled, err)
	}
}

func (c control) end(w http.ResponseWriter, r *http.Request) {
	if end, ok := read[queue.End](w, r); ok {
		job, err := c.acquirer.End(r.Context(), end)
		answer(w, job, err)
	}
}

// read decodes a request. A real control plane first checks who asks, and puts in the organization by itself.
func read[T any](w http.ResponseWriter, r *http.Request) (body T, ok bool) {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return body, err == nil
}

// answer distinguishes the errors that mean different things to a worker; see package httpsource for the way back.
func answer(w http.ResponseWriter, body any, err error) {
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	case errors.Is(err, queue.ErrLeaseLost):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, queue.ErrTimeout):
		http.Error(w, err.Error(), http.StatusGone)
	case errors.Is(err, invalid.Err):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// runControl hands out some jobs and ends when all of them have.
func runControl(ctx context.Context, jobs int) error {
	tally := &tally{ran: make(map[uuid.UUID]int)}
	a, err := acquirer.New(memory.NewJobs(), nil, acquirer.Config{
		Lost:   map[string]acquirer.LostPolicy{"": acquirer.RequeueLost(3, 0)},
		Events: tally.event,
		Logger: slog.New(slog.DiscardHandler), // the control plane prints what matters itself
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: control{a}.handler(), ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error {
		defer stop()
		return supervise(ctx, a, jobs, tally)
	})
	group.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(late)
	})
	err = group.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// supervise posts the jobs of three tenants and waits for the last one.
func supervise(ctx context.Context, a *acquirer.Acquirer, n int, t *tally) error {
	tenants := []string{"red", "green", "blue"}
	var postings []queue.Posting
	for i := range n {
		tenant := tenants[min(i*2/max(n, 1), 1)] // half red, then green
		if i%8 == 7 {
			tenant = tenants[2]
		}
		postings = append(postings, queue.Posting{
			ID: uuid.New(), Tenant: uuid.NewSHA1(uuid.NameSpaceOID, []byte(tenant)), Type: "render",
			Payload: fmt.Appendf(nil, "%s %d", tenant, i),
		})
	}
	begun := time.Now()
	if _, err := a.Enqueue(ctx, postings...); err != nil {
		return err
	}
	fmt.Printf("control   %d jobs of three tenants are in line\n", n)
	for {
		done, why := 0, ""
		for _, p := range postings {
			x, err := a.Explain(ctx, p.ID)
			if err != nil {
				return err
			}
			if x.Job.State.Final() {
				done++
				t.count(x.Job)
			} else {
				why = fmt.Sprintf("%q: %s", x.Job.Payload, x.Text)
			}
		}
		if done == n {
			t.summary(n, time.Since(begun))
			return nil
		}
		fmt.Printf("control   %d of %d done; %s\n", done, n, why)
		wait(ctx, time.Second)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// tally is what the control plane has seen.
type tally struct {
	mu     sync.Mutex
	ran    map[uuid.UUID]int // attempts by job
	reaped int
}

func (t *tally) event(e queue.Event) {
	if e.Kind != queue.EventReaped {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reaped++
	fmt.Printf("control   job %q: %s; it is %s again\n", e.Job.Payload, e.Reason, e.Job.State)
}

func (t *tally) count(j queue.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ran[j.ID] = j.Attempt
}

func (t *tally) summary(n int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	attempts := 0
	for _, a := range t.ran {
		attempts += a
	}
	fmt.Printf("control   all %d jobs ended in %.1f s: %d attempts, %d jobs taken back from a silent worker\n",
		n, took.Seconds(), attempts, t.reaped)
}
