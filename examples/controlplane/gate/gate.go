// Package gate is what every request passes before anything is done for it, whether a program or a browser sends it: it finds who asks,
// bounds how much one of them may ask for, counts what was asked, and keeps who was refused.
//
// Tokens are guessed no faster than an address may ask. Who was refused is counted at once and told to the log at most once in
// [Config.Quiet] for each token or address, with how often since the last line, so that a flood of requests is no flood of lines.
package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
)

// Config says how much somebody may ask for. The zero value works.
type Config struct {
	// Rate is how many requests somebody may make in a second, and Burst how many at once. Default to 50, and four times Rate.
	Rate, Burst int
	// Quiet is for how long the log hears of a token or an address once. Defaults to 10 seconds.
	Quiet time.Duration
	// Logger defaults to slog.Default(). Registerer is given the counters; nil is none.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Keeper knows whose a token is. A *auth.Keeper is one.
type Keeper interface {
	Of(ctx context.Context, token string) (auth.Identity, error)
}

// ErrTooMany says that somebody asks for more than their share.
var ErrTooMany = errors.New("more requests than a share")

// Gate is that of one process. It is safe for concurrent use.
type Gate struct {
	cfg      Config
	shares   *shares
	requests *prometheus.CounterVec
	refusals *prometheus.CounterVec

	mu      sync.Mutex
	refused map[string]*refused
	swept   time.Time // when those that are silent were last forgotten
}

// refused is who was refused.
type refused struct {
	silent int // times since the last line
	said   time.Time
}

// New returns a gate.
func New(cfg Config) *Gate {
	if cfg.Rate == 0 {
		cfg.Rate = 50
	}
	if cfg.Burst == 0 {
		cfg.Burst = 4 * cfg.Rate
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	g := &Gate{
		cfg: cfg, shares: newShares(cfg.Rate, cfg.Burst), refused: make(map[string]*refused),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "controlplane_requests_total", Help: "Requests that were answered, by route and status.",
		}, []string{"route", "code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "controlplane_refusals_total", Help: "Requests that were refused for who sent them, or for how many these were.",
		}, []string{"code"}),
	}
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests} {
		g.refusals.WithLabelValues(strconv.Itoa(code))
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(g.requests, g.refusals)
	}
	return g
}

// Identify finds whose a token is: [auth.ErrUnknown] if it is nobody's, [ErrTooMany] if it is and the address has tried too many of
// those. A valid token passes, whatever others behind the same address have tried. A guess costs a look-up by its public part all the
// same; with secrets of 256 bits it is not the answer to it that has to be slow.
func (g *Gate) Identify(r *http.Request, k Keeper, token string) (auth.Identity, error) {
	who, err := k.Of(r.Context(), token)
	if !errors.Is(err, auth.ErrUnknown) {
		return who, err
	}
	release, ok := g.shares.take("unknown " + Host(r))
	if !ok {
		return auth.Identity{}, ErrTooMany
	}
	release()
	return who, err
}

// Enter counts a request of somebody, or of an address if nobody is known, or returns [ErrTooMany]. Call release when it is over.
func (g *Gate) Enter(r *http.Request, who auth.Identity) (release func(), err error) {
	release, ok := g.shares.take(key(r, who))
	if !ok {
		return nil, ErrTooMany
	}
	return release, nil
}

// Answered counts what was answered, and tells of refusals. The route is its pattern: what people send is never a label.
func (g *Gate) Answered(r *http.Request, who auth.Identity, route string, code int) {
	text := strconv.Itoa(code)
	g.requests.WithLabelValues(route, text).Inc()
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return
	}
	g.refusals.WithLabelValues(text).Inc()
	if n := g.tell(key(r, who), time.Now()); n > 0 {
		g.cfg.Logger.WarnContext(r.Context(), "requests are refused", "address", Host(r), "token", who.Token, "by", who.Name, "route", route, "code", code, "times", n)
	}
}

// mostRefused bounds how many are told apart; the others are one.
const mostRefused = 10_000

// tell returns how many refusals a line about somebody is for, 0 if there is to be none yet.
func (g *Gate) tell(key string, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused[key] == nil && len(g.refused) >= mostRefused {
		g.forget(now)
		if len(g.refused) >= mostRefused {
			key = "others"
		}
	}
	f := g.refused[key]
	if f == nil {
		f = &refused{}
		g.refused[key] = f
	}
	f.silent++
	if now.Sub(f.said) < g.cfg.Quiet {
		return 0
	}
	n := f.silent
	f.silent, f.said = 0, now
	return n
}

// forget is done once in a while: a flood must not make each request of it dear.
func (g *Gate) forget(now time.Time) {
	if now.Sub(g.swept) < g.cfg.Quiet {
		return
	}
	g.swept = now
	for key, f := range g.refused {
		if now.Sub(f.said) >= g.cfg.Quiet {
			delete(g.refused, key)
		}
	}
}

// key is under what somebody is counted.
func key(r *http.Request, who auth.Identity) string {
	if who.Token != "" {
		return who.Token
	}
	return "address " + Host(r)
}

// Host is the address of whoever sends a request, without the port.
func Host(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return h
}

// Recorder is a response whose status is remembered.
type Recorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements [http.ResponseWriter].
func (r *Recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap is for [http.ResponseController].
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Code is the status that was answered with.
func (r *Recorder) Code() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}
