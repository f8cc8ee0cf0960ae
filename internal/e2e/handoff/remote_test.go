package handoff_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
)

// silence is what a worker elsewhere agrees on: a freeze is longer as often as not.
const silence = 900 * time.Millisecond

// serve lets workers elsewhere ask this process, at an address that stands in the database as long as it lives.
func (p *plane) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/acquire", handle(p.AcquireJob))
	mux.HandleFunc("/renew", handle(p.Renew))
	mux.HandleFunc("/end", handle(p.End))
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	for ctx.Err() == nil {
		_, err = p.pool.Exec(ctx, `INSERT INTO handoff.planes (address) VALUES ($1) ON CONFLICT DO NOTHING`, listener.Addr().String())
		if err == nil {
			return nil
		}
	}
	return ctx.Err()
}

// answer is what a process says to a worker elsewhere.
type answer struct {
	Value json.RawMessage
	Error string
	// Kind names the error that means something to a worker.
	Kind string
}

var kinds = map[string]error{"lost": queue.ErrLeaseLost, "timeout": queue.ErrTimeout}

func handle[In, Out any](call func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := call(r.Context(), in)
		var a answer
		if a.Value, _ = json.Marshal(out); err != nil {
			a.Error = err.Error()
			for kind, known := range kinds {
				if errors.Is(err, known) {
					a.Kind = kind
				}
			}
		}
		_ = json.NewEncoder(w).Encode(a)
	}
}

// remote is a worker in a process of its own, which speaks to any of the others, to another one with each call.
type remote struct {
	order
	pool *pgxpool.Pool

	rng *rand.Rand
}

func runRemote(o order) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	pool, err := pgxpool.New(ctx, o.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	r := &remote{order: o, pool: pool, rng: rand.New(rand.NewPCG(o.Seed, 1))}
	p := &plane{order: o, pool: pool, rng: rand.New(rand.NewPCG(o.Seed, 2))}
	w, err := worker.New(r, p.work(slots), worker.Config{
		Organization: o.Org, Types: []string{"plain", "far"}, Slots: slots, Silence: silence, Drain: 300 * time.Millisecond, Flush: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// AcquireJob implements [worker.Source]. It does not wait for ever at one process, which may be dead without saying so.
func (r *remote) AcquireJob(ctx context.Context, q queue.Request) (job queue.Job, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err = r.ask(ctx, "acquire", q, &job)
	return job, err
}

// Renew implements [worker.Source].
func (r *remote) Renew(ctx context.Context, report queue.Report) (canceled bool, err error) {
	err = r.ask(ctx, "renew", report, &canceled)
	return canceled, err
}

// End implements [worker.Source].
func (r *remote) End(ctx context.Context, e queue.End) (job queue.Job, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err = r.ask(ctx, "end", e, &job); errors.Is(err, queue.ErrLeaseLost) {
		gone(ctx, r.pool, e.Lease)
	}
	return job, err
}

func (r *remote) ask(ctx context.Context, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var address string
	if err := r.pool.QueryRow(ctx, `SELECT address FROM handoff.planes ORDER BY random() LIMIT 1`).Scan(&address); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		// One that is gone is not asked again; one that was cut off says so itself.
		_, _ = r.pool.Exec(ctx, `DELETE FROM handoff.planes WHERE address = $1 AND $2`, address, errors.Is(err, syscall.ECONNREFUSED))
		return err
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return err
	}
	if a.Error != "" {
		if known, ok := kinds[a.Kind]; ok {
			return fmt.Errorf("%w: %s", known, a.Error)
		}
		return errors.New(a.Error)
	}
	return json.Unmarshal(a.Value, out)
}

// verdict is a policy that takes its time, fails now and then, and writes down what it says before it says so.
func (p *plane) verdict(ctx context.Context, lost acquirer.Job) (acquirer.Verdict, error) {
	if !p.calm.Load() {
		time.Sleep(time.Duration(p.upTo(600)) * time.Millisecond)
		if p.upTo(4) == 0 {
			return acquirer.Verdict{}, errors.New("no idea")
		}
	}
	_, err := p.pool.Exec(ctx, `INSERT INTO handoff.verdicts (job, fence) VALUES ($1, $2)`, lost.ID.String(), lost.Fence)
	return acquirer.Verdict{Outcome: queue.OutcomeRequeued}, err
}
