package poolhttp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Pool is what the handler needs of a [*workerpool.Pool].
type Pool interface {
	Workers() []workerpool.Worker
	Counts() workerpool.Counts
	Cost() workerpool.Cost
	Pauses() []workerpool.Pause
	AtQuota() bool
	ExplainWorker(workerpool.InstanceID) (workerpool.WorkerExplanation, error)
	ExplainJob(workerpool.JobID) (workerpool.JobExplanation, error)
	SetIdleBehavior(workerpool.InstanceID, workerpool.Behavior) error
	KillWorker(id workerpool.InstanceID, owner, reason string) error
	KillJob(id workerpool.JobID, reason string) error
	TryNow(key string) bool
	ReleaseBrakes(time.Duration)
}

// Authorize decides who may do what. It returns who asks; that person is the owner of a hold. write is true for what
// changes something. An error is answered with 401 if the request names nobody, which is when owner is empty, else with
// 403; its text is not shown.
type Authorize func(r *http.Request, write bool) (owner string, err error)

const largestForm = 16 << 10

// New returns the handler. Both arguments are required: there is no open access by default.
func New(pool Pool, authorize Authorize) (http.Handler, error) {
	switch {
	case pool == nil:
		return nil, invalid.New("pool", "nil", "a handler needs a pool")
	case authorize == nil:
		return nil, invalid.New("authorize", "nil", "a handler needs to know who may do what")
	}
	h := &handler{pool: pool, authorize: authorize}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]serve{
		"GET /status":          h.status,
		"GET /workers":         h.workers,
		"GET /worker":          h.worker,
		"GET /job":             h.job,
		"POST /workers/hold":   h.behave(workerpool.BehaviorHold),
		"POST /workers/drain":  h.behave(workerpool.BehaviorDrain),
		"POST /workers/run":    h.behave(workerpool.BehaviorRun),
		"POST /workers/kill":   h.killWorker,
		"POST /jobs/kill":      h.killJob,
		"POST /try":            h.try,
		"POST /brakes/release": h.release,
	} {
		mux.Handle(pattern, h.guard(serve))
	}
	return http.NewCrossOriginProtection().Handler(mux), nil
}

type handler struct {
	pool      Pool
	authorize Authorize
}

// serve answers a request of somebody who may make it.
type serve func(owner string, q url.Values) (any, error)

// guard asks who it is, and turns answers and errors into responses.
func (h *handler) guard(do serve) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		owner, err := h.authorize(r, r.Method != http.MethodGet && r.Method != http.MethodHead)
		switch {
		case err != nil && owner == "":
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		case err != nil:
			http.Error(w, "you may not do this", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, largestForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the parameters cannot be read", http.StatusBadRequest)
			return
		}
		answer, err := do(owner, r.Form)
		if err != nil {
			http.Error(w, err.Error(), statusOf(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff") // texts of jobs and people are in it
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(answer)
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, workerpool.ErrUnknownWorker) || errors.Is(err, workerpool.ErrUnknownJob) || errors.Is(err, errNoPause):
		return http.StatusNotFound
	case errors.Is(err, invalid.Err):
		return http.StatusBadRequest
	case errors.Is(err, workerpool.ErrNotRunning):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

var errNoPause = errors.New("no such pause")

// Status is the answer to /status.
type Status struct {
	Workers     map[string]int
	Total, Jobs int
	Slots, Used int64
	Failing     int
	Braked      bool
	AtQuota     bool
	Cost        workerpool.Cost
	Pauses      []workerpool.Pause
}

func (h *handler) status(string, url.Values) (any, error) {
	c := h.pool.Counts()
	s := Status{
		Workers: make(map[string]int), Total: c.Total, Jobs: c.Jobs, Slots: c.Slots, Used: c.Used, Failing: c.Failing,
		Braked: c.Braked, AtQuota: h.pool.AtQuota(), Cost: h.pool.Cost(), Pauses: h.pool.Pauses(),
	}
	for state, n := range c.Workers {
		s.Workers[state.String()] = n
	}
	return s, nil
}

func (h *handler) workers(_ string, q url.Values) (any, error) {
	state, kind := q.Get("state"), q.Get("type")
	list := []workerpool.Worker{}
	for _, w := range h.pool.Workers() {
		if (state == "" || w.State.String() == state) && (kind == "" || w.Type == kind) {
			list = append(list, public(w))
		}
	}
	return list, nil
}

// public is a worker without its secret, which would let its bearer pose as the worker.
func public(w workerpool.Worker) workerpool.Worker {
	w.Secret = workerpool.Secret{}
	return w
}

func (h *handler) worker(_ string, q url.Values) (any, error) {
	id, err := required(q, "id")
	if err != nil {
		return nil, err
	}
	x, err := h.pool.ExplainWorker(workerpool.InstanceID(id))
	x.Worker = public(x.Worker)
	return x, err
}

func (h *handler) job(_ string, q url.Values) (any, error) {
	id, err := required(q, "id")
	if err != nil {
		return nil, err
	}
	return h.pool.ExplainJob(workerpool.JobID(id))
}

func (h *handler) behave(idle workerpool.IdleBehavior) serve {
	return func(owner string, q url.Values) (any, error) {
		id, err := required(q, "id")
		if err != nil {
			return nil, err
		}
		until, err := end(q)
		if err != nil {
			return nil, err
		}
		return done{}, h.pool.SetIdleBehavior(workerpool.InstanceID(id), workerpool.Behavior{
			Idle: idle, Owner: owner, Reason: q.Get("reason"), Until: until,
		})
	}
}

// end is the instant that a request names, or the one after the time that it names.
func end(q url.Values) (time.Time, error) {
	if text := q.Get("for"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return time.Time{}, invalid.New("for", text, "must be a duration above zero, such as 2h")
		}
		return time.Now().Add(d), nil //nolint:forbidigo // an operator's "two hours" begins when they ask
	}
	text := q.Get("until")
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, invalid.New("until", text, "must be a time such as 2026-11-28T17:00:00Z")
	}
	return at, nil
}

func (h *handler) killWorker(owner string, q url.Values) (any, error) {
	id, err := required(q, "id")
	if err != nil {
		return nil, err
	}
	reason, err := required(q, "reason")
	if err != nil {
		return nil, err
	}
	return done{}, h.pool.KillWorker(workerpool.InstanceID(id), owner, reason)
}

func (h *handler) killJob(owner string, q url.Values) (any, error) {
	id, err := required(q, "id")
	if err != nil {
		return nil, err
	}
	reason, err := required(q, "reason")
	if err != nil {
		return nil, err
	}
	return done{}, h.pool.KillJob(workerpool.JobID(id), owner+": "+reason)
}

func (h *handler) try(_ string, q url.Values) (any, error) {
	key, err := required(q, "key")
	if err != nil {
		return nil, err
	}
	if !h.pool.TryNow(key) {
		return nil, errNoPause
	}
	return done{}, nil
}

func (h *handler) release(_ string, q url.Values) (any, error) {
	text, err := required(q, "for")
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return nil, invalid.New("for", text, "must be a duration above zero, at most a day")
	}
	h.pool.ReleaseBrakes(d)
	return done{}, nil
}

// done is the answer to what was done.
type done struct{}

func required(q url.Values, name string) (string, error) {
	if v := q.Get(name); v != "" {
		return v, nil
	}
	return "", invalid.New(name, "", "is required")
}
