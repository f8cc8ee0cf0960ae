//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/elastic"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
	"github.com/dormouse-go/dormouse/workerpool"
)

// server is one replica.
type server struct {
	options
	log      *slog.Logger
	db       database
	clock    quartz.Clock
	builders *builders
	plane    *dormouse.Plane
	keeper   *auth.Keeper
	gate     *gate.Gate
	api      *api.API
	pages    *webui.Handler
	journal  *planesource.Journal
	source   *planesource.Source
	registry *prometheus.Registry
	elastic  atomic.Pointer[workerpool.Pool]
	url      string
}

// serve runs a replica until ctx ends.
func serve(ctx context.Context, o options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	for _, folder := range []string{o.data, filepath.Join(o.data, "replicas")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	db, err := openDatabase(ctx, o)
	if err != nil {
		return err
	}
	defer db.close()
	lasting, end := context.WithCancel(context.WithoutCancel(ctx)) // for what ends after everything that uses it
	defer end()
	s := &server{options: o, log: log, db: db, registry: prometheus.NewRegistry()}
	if err := s.make(lasting); err != nil {
		return err
	}
	defer s.builders.close()
	listener, err := s.listenOn()
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	defer s.leave()
	return s.run(ctx, listener)
}

// make joins the parts.
func (s *server) make(ctx context.Context) (err error) {
	if err = s.db.records.Migrate(ctx); err != nil {
		return err
	}
	if s.clock, err = openClock(ctx, s.db.records, s.speed); err != nil {
		return err
	}
	if s.builders, err = newBuilders(s.db.records); err != nil {
		return err
	}
	if s.plane, err = newPlane(s.db, s.builders, s.clock, s.registry, s.options, s.log); err != nil {
		return err
	}
	if err = s.plane.Migrate(ctx); err != nil {
		return err
	}
	s.keeper = auth.NewKeeper(s.db.records)
	s.gate = gate.New(gate.Config{Rate: s.rate, Logger: s.log, Registerer: s.registry})
	var names []string
	for _, p := range pools(s.options) {
		names = append(names, p.Name)
	}
	if s.journal, err = planesource.NewJournal(planesource.JournalConfig{}); err != nil {
		return err
	}
	s.source, err = planesource.New(s.plane, s.db.store, planesource.Config{Pools: names, Journal: s.journal})
	if err != nil {
		return err
	}
	s.api = api.New(api.Config{
		Plane: s.plane, Store: s.db.store, Records: s.db.records, Keeper: s.keeper, Pools: names, Elastic: s.elastic.Load,
		Behavior: s.source.Behavior, Instance: instance(), Gone: gone, Clock: s.clock, Logger: s.log, Gate: s.gate,
	})
	s.pages, err = webui.New(boundedSource{s.source, s.api}, webui.Config{
		Viewer: viewer, Actions: true, Zone: time.Local, Clock: s.clock, Logger: s.log, OverdueAfter: s.slow(2 * time.Minute),
		Refresh: s.slow(2 * time.Second),
	})
	return err
}

// instance names this process among those of all machines.
func instance() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// gone reports whether a process of this machine has ended. Of other machines nothing is known.
func gone(of string) bool {
	host, _ := os.Hostname()
	text, ours := strings.CutPrefix(of, host+"/")
	pid, err := strconv.Atoi(text)
	return ours && err == nil && ended(pid)
}

func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// listenOn opens the address and tells workers of this machine where it is.
func (s *server) listenOn() (net.Listener, error) {
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, err
	}
	scheme := "http://"
	if s.tlsCert != "" {
		scheme = "https://"
	}
	s.url = scheme + l.Addr().String()
	s.sweep()
	return l, os.WriteFile(s.mark(os.Getpid()), []byte(s.url), 0o600)
}

func (s *server) mark(pid int) string { return filepath.Join(s.data, "replicas", strconv.Itoa(pid)) }

// sweep removes the marks of replicas that were killed: somebody else may listen there some day, and would be shown the tokens of
// workers.
func (s *server) sweep() {
	marks, _ := os.ReadDir(filepath.Join(s.data, "replicas"))
	for _, m := range marks {
		if pid, err := strconv.Atoi(m.Name()); err == nil && ended(pid) {
			_ = os.Remove(s.mark(pid))
		}
	}
}

// leave takes the mark away, so that nobody asks here any more. After a kill it stays until another replica starts, and a worker asks
// the next one.
func (s *server) leave() { _ = os.Remove(s.mark(os.Getpid())) }

// run serves until ctx ends.
func (s *server) run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	server := s.over(s.handler())
	server.RegisterOnShutdown(s.pages.Close)
	server.RegisterOnShutdown(s.api.Close)
	group.Go(func() error { return s.plane.Run(ctx) })
	group.Go(func() error { return s.watch(ctx) })
	group.Go(func() error { return s.runElastic(ctx) })
	group.Go(func() error { return s.tidy(ctx) })
	group.Go(func() error { return s.remember(ctx) })
	group.Go(func() error {
		if s.tlsCert != "" {
			return server.ServeTLS(listener, s.tlsCert, s.tlsKey)
		}
		return server.Serve(listener)
	})
	group.Go(func() error { return endWith(ctx, server) })
	if s.metrics != "" {
		group.Go(func() error { return s.serveMetrics(ctx) })
	}
	if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// over is a server that nobody keeps waiting: streams and what takes long set deadlines of their own.
func (s *server) over(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// endWith ends a server with ctx.
func endWith(ctx context.Context, server *http.Server) error {
	<-ctx.Done()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(late) != nil {
		_ = server.Close()
	}
	return nil
}

// serveMetrics serves metrics at an address of their own, where no proxy in front of the API leads.
func (s *server) serveMetrics(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	server := s.over(mux)
	server.Addr = s.metrics
	stop := context.AfterFunc(ctx, func() { _ = endWith(ctx, server) })
	defer stop()
	return server.ListenAndServe()
}

func (s *server) handler() http.Handler {
	d := door{s.keeper, s.plane, s.gate, s.log, s.tlsCert != ""}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	pages.HandleFunc("GET /readyz", s.ready)
	if s.metrics == "" {
		pages.Handle("GET /metrics", s.onLoopback(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})))
	}
	pages.HandleFunc("GET /login", d.login)
	pages.HandleFunc("POST /login", d.login)
	pages.HandleFunc("POST /logout", d.logout)
	pages.Handle("/", d.guard(s.pages))
	mux := http.NewServeMux()
	mux.Handle("/api/", s.api) // it refuses other sites itself, with a problem document
	mux.Handle("/", http.NewCrossOriginProtection().Handler(pages))
	return bounded(mux)
}

// bounded bounds for how long a body may be on its way. A request without one, such as that of a stream, may last.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Second))
		h.ServeHTTP(w, r)
	})
}

// onLoopback keeps metrics from whoever is elsewhere.
func (s *server) onLoopback(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ready says whether requests can be answered: the database answers.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	release, err := s.gate.Enter(r, auth.Identity{})
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.db.store.NextWake(ctx, lifecycle.Shard{}); err != nil {
		s.log.WarnContext(ctx, "not ready", "error", err)
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}

// How long answers to requests under a key are kept, and what happened.
const (
	keepAnswers = 24 * time.Hour
	keepEvents  = 30 * 24 * time.Hour
)

// tidy forgets once an hour what is old.
func (s *server) tidy(ctx context.Context) error {
	for {
		err := errors.Join(
			s.db.records.PruneRequests(ctx, time.Now().Add(-keepAnswers)),
			s.db.records.PruneEvents(ctx, s.clock.Now().Add(-keepEvents)),
		)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "what is old cannot be forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

func (s *server) watch(ctx context.Context) error {
	processes, err := provision.NewProcesses(s.data)
	if err != nil {
		return err
	}
	w := &watcher{plane: s.plane, records: s.db.records, processes: processes, journal: s.journal, clock: s.clock, log: s.log}
	return w.run(ctx, s.look)
}

func (s *server) runElastic(ctx context.Context) error {
	if s.workers == 0 {
		return nil
	}
	cfg := elastic.Config{Slots: 2, Max: s.workers, Logger: s.log}
	if provision.TerraformBinary() != "" {
		cfg.Tags = []map[string]string{{provision.Tag: provision.Terraform}}
	}
	data, err := filepath.Abs(s.data)
	if err != nil {
		return err
	}
	certificate := s.tlsCert
	if certificate != "" {
		if certificate, err = filepath.Abs(certificate); err != nil {
			return err
		}
	}
	env := []string{dataVariable + "=" + data, idleVariable + "=" + s.idle.String(), caVariable + "=" + certificate}
	return elastic.NewPool(elastic.New(s.keeper, s.plane.Acquirer(), cfg), filepath.Join(s.data, "workers"), s.idle, env, func(p *workerpool.Pool) {
		s.elastic.Store(p)
	}).Run(ctx)
}
