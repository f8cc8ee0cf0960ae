package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/memory"
)

// longPoll is how long a worker's request for a job is kept open: below what proxies cut off.
const longPoll = 20 * time.Second

// Limits of a request. A report may hold a mebibyte of lines, which JSON makes longer.
const (
	smallBody  = 16 << 10
	reportBody = 4 << 20
	endBody    = 2 << 20
	readTime   = 10 * time.Second
	writeTime  = 20 * time.Second
)

// control is the control plane: three verbs over an acquirer, each for a worker that has shown its token.
type control struct {
	acquirer *acquirer.Acquirer
	workers  registry
	log      *slog.Logger
}

// registry knows the workers by the SHA-256 of their tokens.
type registry map[[sha256.Size]byte]acquirer.Identity

// of returns who a request is from. Looking up a hash takes no longer for a token that is nearly right.
func (r registry) of(req *http.Request) (acquirer.Identity, bool) {
	token, found := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	id, known := r[sha256.Sum256([]byte(token))]
	return id, found && known
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /acquire", route(c, smallBody, c.acquire))
	mux.Handle("POST /renew", route(c, reportBody, func(ctx context.Context, r acquirer.Remote, report queue.Report) (any, error) {
		return r.Renew(ctx, report)
	}))
	mux.Handle("POST /end", route(c, endBody, func(ctx context.Context, r acquirer.Remote, end queue.End) (any, error) {
		return r.End(ctx, end)
	}))
	return http.NewCrossOriginProtection().Handler(mux) // a page in somebody's browser is no worker
}

// server serves the verbs. Its limits hold for everybody, also for whoever is refused before the body was looked at: the server reads
// the rest of a body before it answers, and would wait for it for ever.
func (c control) server() *http.Server {
	return &http.Server{
		Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: readTime, WriteTimeout: longPoll + writeTime,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
}

// acquire keeps the request open until there is a job. If the worker has gone by then, the request's context has
// ended and the job goes to another one. Nil: the worker shall ask again.
func (c control) acquire(ctx context.Context, r acquirer.Remote, request queue.Request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, longPoll)
	defer cancel()
	job, err := r.AcquireJob(ctx, request)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return job, err
}

// route is one verb: who asks, a body that is JSON and no longer than it may be, the answer or the class of its error.
func route[T any](c control, limit int64, do func(context.Context, acquirer.Remote, T) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text() // of the request, for the log and the answer
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		who, known := c.workers.of(r)
		if !known {
			http.Error(w, "unknown worker", http.StatusUnauthorized)
			return
		}
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			http.Error(w, "must be application/json", http.StatusUnsupportedMediaType)
			return
		}
		var body T
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&body)
		if err == nil {
			if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("something follows the body")
			}
		}
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the body is read whole; a long poll may take its time
		answer, err := do(r.Context(), c.acquirer.Remote(who), body)
		switch {
		case err != nil:
			c.refuse(w, id, err)
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}
	})
}

// refuse answers with the class of an error; see package httpsource for the way back. Its cause is for the log: it may name
// hosts and roles. What a worker did wrong it is told.
func (c control) refuse(w http.ResponseWriter, id string, err error) {
	var bad *invalid.Error
	switch {
	case errors.Is(err, queue.ErrLeaseLost):
		http.Error(w, "lease lost", http.StatusConflict)
	case errors.Is(err, queue.ErrTimeout):
		http.Error(w, "run limit", http.StatusGone)
	case errors.Is(err, queue.ErrTooMany):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many at once", http.StatusTooManyRequests)
	case errors.Is(err, queue.ErrStopped):
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	case errors.As(err, &bad):
		http.Error(w, bad.Error(), http.StatusUnprocessableEntity)
	case errors.Is(err, context.Canceled): // the worker has hung up: nobody reads an answer
	default:
		c.log.Error("request failed", "request_id", id, "error", err)
		http.Error(w, "unavailable, request "+id, http.StatusServiceUnavailable)
	}
}

// tokensVariable holds the workers' tokens, "name=token name=token", and tokenVariable a worker's own: the environment is not
// shown in lists of processes, as arguments are.
const (
	tokensVariable = "CONTROL_TOKENS"
	tokenVariable  = "WORKER_TOKEN"
)

// registered reads the workers' registrations. A real control plane has them in its database, and tokens only as hashes.
func registered(tokens string) (registry, error) {
	workers := make(registry)
	for entry := range strings.FieldsSeq(tokens) {
		name, token, found := strings.Cut(entry, "=")
		if !found || len(token) < 26 {
			return nil, fmt.Errorf("worker %q: its token must be random, with 128 bits or more", name)
		}
		workers[sha256.Sum256([]byte(token))] = acquirer.Identity{
			Worker: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)), Slots: 2, Types: []string{"render"},
		}
	}
	if len(workers) == 0 {
		return nil, errors.New("no worker is registered, so nobody could ask for a job")
	}
	return workers, nil
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
	workers, err := registered(os.Getenv(tokensVariable))
	if err != nil {
		return err
	}
	server := control{a, workers, slog.New(slog.NewTextHandler(os.Stderr, nil))}.server()
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
	fmt.Printf("control   all %d jobs ended in %.1f s: %d attempts, %s taken back from a silent worker\n",
		n, took.Seconds(), attempts, words.Count(t.reaped, "job", "jobs"))
}
