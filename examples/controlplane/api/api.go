// Package api is the HTTP API of the control plane. Who asks, what they may touch, how much and how often is decided here, and in one
// place for all routes; what then happens, the plane decides.
//
//   - A token says who it is. An owner sees and touches what is theirs; anything else does not exist, with the same answer.
//   - A body is JSON of a bounded size, without unknown fields, and read within a bounded time.
//   - If-Match with the revision of a workspace (its ETag) makes a change depend on it; Idempotency-Key makes a request that may be
//     repeated one.
//   - Every error is a problem document, with the field, the value and the rule where the input is at fault. What went wrong within
//     the service is for the log, under the id of the request.
//   - What somebody did is a line of the log, with who it was and the public part of their token; who was refused is too, less often
//     (package gate).
package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Config is what the API is made of. Plane, Store, Keeper, Clock and Logger are required.
type Config struct {
	Plane *dormouse.Plane
	Store store.Store
	// Records are the host's tables. Without them there are no events and no idempotency keys, templates say nothing of what they are
	// made of, and of requests at once only those to this process are held to MaxWorkspaces together.
	Records *records.DB
	Keeper  Keeper
	// Pools are the names of the warm pools.
	Pools []string
	// Elastic returns the pool of elastic workers, nil while another process has it.
	Elastic func() *workerpool.Pool
	// Behavior returns what was learned of people, nil for nothing yet. Without it the forecast says what schedules and deadlines do
	// alone, without a band.
	Behavior func() *forecast.Behavior
	// Instance names this process, and Gone says whether another one is known to have ended.
	Instance string
	Gone     func(instance string) bool
	Clock    quartz.Clock
	Logger   *slog.Logger
	// Gate is what every request passes. Defaults to one of this API alone.
	Gate *gate.Gate

	// MaxWorkspaces is how many workspaces an owner may have. Defaults to 100.
	MaxWorkspaces int
	// MaxKeys is how many answers are kept for one identity under idempotency keys, within a day. Defaults to 10,000.
	MaxKeys int
	// MaxStreams is how many streams of events may be open. Defaults to 200, and 5 for one identity.
	MaxStreams int
}

// Keeper knows who asks. A *auth.Keeper is one.
type Keeper interface {
	Of(ctx context.Context, token string) (auth.Identity, error)
	Issue(ctx context.Context, kind auth.Kind, name string, work auth.Work) (id, token string, err error)
	List(ctx context.Context, kind auth.Kind) ([]auth.Identity, error)
	End(ctx context.Context, id string) (was bool, err error)
}

// API is the API of one replica. It is safe for concurrent use.
type API struct {
	Config
	routes []route
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	spec   []byte

	closing context.Context
	close   context.CancelFunc

	mu      sync.Mutex
	streams map[string]int
	places  places
}

// New returns the API.
func New(cfg Config) *API {
	defaults(&cfg.MaxWorkspaces, 100)
	defaults(&cfg.MaxKeys, 10_000)
	defaults(&cfg.MaxStreams, 200)
	if cfg.Gate == nil {
		cfg.Gate = gate.New(gate.Config{Logger: cfg.Logger})
	}
	a := &API{
		Config: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), streams: make(map[string]int), places: placesOf(cfg.Records),
	}
	a.closing, a.close = context.WithCancel(context.Background())
	a.routes = a.allRoutes()
	a.spec = specOf(a.routes)
	for _, r := range a.routes {
		a.mux.HandleFunc(r.method+" "+Prefix+r.path, a.serve(r))
	}
	return a
}

func defaults(n *int, to int) {
	if *n == 0 {
		*n = to
	}
}

// Prefix is that of all paths.
const Prefix = "/api/v1"

// Patterns are the methods and paths that are handled, such as "GET /workspaces".
func (a *API) Patterns() (all []string) {
	for _, r := range a.routes {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// Close ends the streams, so that a server can shut down.
func (a *API) Close() { a.close() }

// ServeHTTP implements [http.Handler]. What no route answers is a problem document too.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	handler, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	var said status
	handler.ServeHTTP(&said, r)
	problem := refuse(http.StatusNotFound, "not_found", "there is no such path")
	if said.code == http.StatusMethodNotAllowed {
		h.Set("Allow", said.Header().Get("Allow"))
		problem = refuse(http.StatusMethodNotAllowed, "method_not_allowed", "the path does not know this method")
	}
	write(w, dormouse.Problem(problem))
	a.Gate.Answered(r, auth.Identity{}, "none", problem.Status)
}

// status is a response of which only the status and the header count.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(code int)        { s.code = code }

// now is the time of the plane, which a demonstration may speed up.
func (a *API) now() time.Time { return a.Clock.Now() }
