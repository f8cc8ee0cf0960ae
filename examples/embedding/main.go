// Command embedding is a whole control plane in some 250 lines: an HTTP API over package dormouse, SQLite, and
// workspaces that are processes of this machine. It may be killed at any time: the workspaces go on, and the next one
// carries on.
//
//	go run ./examples/embedding -data /tmp/plane
//	curl -H 'X-User: ann' localhost:8080/workspaces -d '{"owner":"ann","name":"api"}'
//	curl -H 'X-User: ann' -X POST localhost:8080/workspaces/$ID/start
//
// The user is who the header says: a real one authenticates.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

func main() {
	address := flag.String("address", "localhost:8080", "where the API listens")
	data := flag.String("data", "data", "folder of the database and of the sockets of workspaces")
	box := flag.String("box", "", "be the workspace behind this socket")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *box != "" {
		err = beBox(*box)
	} else {
		err = serve(ctx, *address, *data)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "embedding:", err)
		os.Exit(1)
	}
}

// policy is what applies to every workspace.
var policy = dormouse.Policy{
	DefaultTTL: 8 * time.Hour, ActivityBump: time.Hour, ReminderLead: 15 * time.Minute, FailureTTL: time.Hour,
	TimeTilDormant: 14 * 24 * time.Hour, AllowUserTTL: true, AllowUserAutostart: true, AutostartDays: schedule.AllDays,
}

// serve runs the control plane until ctx ends.
func serve(ctx context.Context, address, data string) error {
	db, err := sqlite.Open("sqlite", filepath.Join(data, "plane.db"))
	if err := errors.Join(err, os.MkdirAll(data, 0o700)); err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return err
	}
	plane, err := dormouse.New(store, dormouse.Config{
		Build: boxes{data}.apply,
		Notify: func(_ context.Context, n dormouse.Notice) error {
			_, err := fmt.Println("mail to", n.Owner+":", n.Text)
			return err
		},
		TuneAcquirer: func(c *acquirer.Config) {
			c.Alone = true // the only process of its database: the one before is gone
			c.Lost = map[string]acquirer.LostPolicy{lifecycle.JobType: acquirer.RequeueLost(5, 0)}
		},
	})
	if err != nil {
		return err
	}
	if err := plane.Migrate(ctx); err != nil {
		return err
	}
	template, err := plane.PutTemplate(ctx, dormouse.Template{Name: "standard", Policy: policy})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	group, ctx := errgroup.WithContext(ctx)
	server := api{plane, template}.server()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	group.Go(func() error { return plane.Run(ctx) })
	group.Go(func() error { return server.Serve(listener) })
	if err = group.Wait(); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// api is the HTTP API of a plane.
type api struct {
	*dormouse.Plane
	template dormouse.Template
}

func (a api) server() *http.Server { // nobody keeps it waiting
	return &http.Server{Handler: http.NewCrossOriginProtection().Handler(a.routes()), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
}

// answer is what a handler returns: a value for the body, or an error.
type answer func(r *http.Request) (any, error)

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := a(r)
	if err != nil {
		dormouse.ProblemOf(err).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(body)
}

func (a api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /workspaces", answer(a.create))
	mux.Handle("GET /workspaces", answer(func(r *http.Request) (any, error) {
		return a.List(r.Context(), dormouse.ListQuery{Owner: r.FormValue("owner")})
	}))
	for path, do := range map[string]func(r *http.Request, id uuid.UUID) (any, error){
		"GET /workspaces/{id}":        func(r *http.Request, id uuid.UUID) (any, error) { return a.Get(r.Context(), id) },
		"GET /workspaces/{id}/why":    func(r *http.Request, id uuid.UUID) (any, error) { return a.Explain(r.Context(), id) },
		"GET /workspaces/{id}/builds": func(r *http.Request, id uuid.UUID) (any, error) { return a.Builds(r.Context(), id, 0, 0) },
		"GET /builds/{id}/log":        func(r *http.Request, id uuid.UUID) (any, error) { return a.Log(r.Context(), id, 0, 1000) },
		"POST /workspaces/{id}/schedule": func(r *http.Request, id uuid.UUID) (any, error) {
			return a.SetSchedule(r.Context(), id, dormouse.Schedule{Hours: r.FormValue("hours")}, said(r)...)
		},
		"POST /workspaces/{id}/extend": func(r *http.Request, id uuid.UUID) (any, error) {
			by, err := time.ParseDuration(r.FormValue("by"))
			if err != nil {
				return nil, invalid.New("by", r.FormValue("by"), `must be like "1h"`)
			}
			return a.Extend(r.Context(), id, time.Now().Add(by), said(r)...)
		},
	} {
		mux.Handle(path, of(do))
	}
	for name, do := range map[string]func(context.Context, uuid.UUID, ...dormouse.Option) (dormouse.Workspace, error){
		"start": a.Start, "stop": a.Stop, "restart": a.Restart, "delete": a.Delete, "cancel": a.Cancel, "wake": a.Wake,
	} {
		mux.Handle("POST /workspaces/{id}/"+name, of(func(r *http.Request, id uuid.UUID) (any, error) {
			return do(r.Context(), id, said(r)...)
		}))
	}
	return mux
}

// of is an answer about the id in the path.
func of(f func(r *http.Request, id uuid.UUID) (any, error)) answer {
	return func(r *http.Request) (any, error) {
		id, err := uuid.Parse(r.PathValue("id"))
		if err != nil {
			return nil, invalid.New("id", r.PathValue("id"), "must be a UUID")
		}
		return f(r, id)
	}
}

// said is who asks, and what they say about it.
func said(r *http.Request) []dormouse.Option {
	return []dormouse.Option{dormouse.By(r.Header.Get("X-User")), dormouse.Note(r.FormValue("note"))}
}

func (a api) create(r *http.Request) (any, error) {
	var n dormouse.NewWorkspace
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&n); err != nil {
		return nil, invalid.New("body", "", "must be a workspace as JSON: %v", err)
	}
	n.Template = a.template.ID
	return a.Create(r.Context(), n, said(r)...)
}

// boxes are workspaces as processes of this machine, each behind a socket in this folder. Of a build that is begun again
// nobody knows what was done already, so each step asks for the state that it wants and is content to find it.
type boxes struct{ folder string }

func (m boxes) apply(ctx context.Context, b *dormouse.Build) error {
	socket := filepath.Join(m.folder, b.Workspace.ID.String())
	b.Logf("%s, attempt %d", b.Transition, b.Attempt)
	if b.Transition == lifecycle.TransitionStart {
		b.SetResult(socket)
		return start(ctx, socket)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil // there is none
	}
	_, _ = io.WriteString(conn, "quit")
	_, _ = io.Copy(io.Discard, conn) // until it has ended
	return conn.Close()
}

func start(ctx context.Context, socket string) error {
	for begun := false; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) { // left by a process that was killed
			_ = os.Remove(socket)
		}
		if !begun {
			begun = true
			cmd := exec.Command(os.Args[0], "-box", socket)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives us
			if err := cmd.Start(); err != nil {
				return err
			}
			go func() { _ = cmd.Wait() }()
		}
	}
	return ctx.Err()
}

// beBox is the process of a workspace. Its socket gets its name when somebody listens there: one that refuses is nobody's.
// Of two for one name one ends.
func beBox(socket string) error {
	own := fmt.Sprint(socket, ".", os.Getpid())
	listener, err := net.Listen("unix", own)
	if err == nil {
		err = errors.Join(os.Link(own, socket), os.Remove(own))
	}
	if err != nil {
		return err
	}
	for word := make([]byte, 4); ; {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if n, _ := conn.Read(word); string(word[:n]) == "quit" {
			return errors.Join(os.Remove(socket), listener.Close()) // and our end closes conn
		}
		_ = conn.Close()
	}
}
